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

const names = typeFiles().flatMap(publicNames)

test.each(names.map(({ name, use }) => [name, use]))('%s has an example', (_, use) => {
  expect(examples.filter((text) => use.test(text))).not.toEqual([])
})
