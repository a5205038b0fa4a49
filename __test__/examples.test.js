'use strict'

const { blocksOf, examplesOf, pages, publicNames } = require('./harness/documentation.js')

const TYPES = 'index.d.ts'

// That they compile and run is tested with the pages' own blocks, in readme.test.js.
const examples = [...pages().flatMap(blocksOf), ...examplesOf(TYPES)]
  .filter(({ language }) => language === 'ts')
  .map(({ text }) => text)

test.each(publicNames(TYPES).map(({ name, use }) => [name, use]))('%s has an example', (_, use) => {
  expect(examples.filter((text) => use.test(text))).not.toEqual([])
})
