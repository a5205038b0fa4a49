'use strict'

const {
  blocksOf,
  examplesOf,
  pages,
  publicNames,
  typeFiles,
} = require('./harness/documentation.js')

// That they compile and run is tested with the pages' own blocks, in readme.test.js.
const examples = [...pages().flatMap(blocksOf), ...typeFiles().flatMap(examplesOf)]
  .filter(({ language }) => language === 'ts')
  .map(({ text }) => text)

// The commands are Redis' own; the types that a service names are passed on by `config/redis`.
const COMMANDS = ['config/redisCommands.d.ts', 'config/commandNames.d.ts']
const names = typeFiles()
  .filter((file) => !COMMANDS.includes(file))
  .flatMap(publicNames)

test.each(names.map(({ name, use }) => [name, use]))('%s has an example', (_, use) => {
  expect(examples.filter((text) => use.test(text))).not.toEqual([])
})
