'use strict'

// What the pages say that no server is needed to prove; their examples run in readme.test.js.

const fs = require('node:fs')
const path = require('node:path')
const errors = require('../lib/realm/errors.js')
const { clientOptions, managerOptions, queueOptions } = require('../lib/settings/options.js')
const manifest = require('../package.json')
const { blocksOf, pages, tableUnder, textOf } = require('./harness/documentation.js')

const root = path.join(__dirname, '..')
const { files, homepage, scripts } = manifest

const blocks = pages().flatMap(blocksOf)
const inLanguage = (language) => blocks.filter((block) => block.language === language)
const named = (some) => some.map((block) => [`${block.page}:${block.line}`, block])

test('what npm shows first is short', () => {
  expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(300)
})

test('npm links to one repository, its issues and its README', () => {
  const [, place] = /^git\+(https:\/\/github\.com\/[\w-]+\/[\w-]+)\.git$/.exec(
    manifest.repository.url,
  )
  expect(homepage).toBe(`${place}#readme`)
  expect(manifest.bugs.url).toBe(`${place}/issues`)
  expect(manifest.keywords).toEqual(
    expect.arrayContaining(['session', 'redis', 'postgresql', 'sqlite']),
  )
})

test('what a service may import is packed, with its types', () => {
  const { './package.json': _itself, ...subpaths } = manifest.exports
  const paths = Object.values(subpaths)
    .flatMap(Object.values)
    .map((file) => path.normalize(file))
  const isPacked = (file) => files.some((some) => file === some || file.startsWith(`${some}/`))
  expect(paths).toEqual(expect.arrayContaining(['testing/index.js', 'testing/index.d.ts']))
  for (const file of paths) {
    expect([file, isPacked(file) && fs.existsSync(path.join(root, file))]).toEqual([file, true])
  }
})

test('every page that the README names is packed', () => {
  const pages = [...textOf('README.md').matchAll(/\]\((docs\/[\w-]+\.md)\)/g)].map(([, to]) => to)
  expect(pages.length).toBeGreaterThan(0)
  expect(files).toEqual(expect.arrayContaining(pages))
})

test.each(['CHANGELOG.md', 'CONTRIBUTING.md', 'SECURITY.md'])(
  '%s: its links lead to files',
  (page) => {
    const links = [...textOf(page).matchAll(/\]\(([^)#]+)[^)]*\)/g)].map(([, to]) => to)
    const files = links.filter((to) => !/^https?:/.test(to))
    expect(files.length).toBeGreaterThan(0)
    expect(files.filter((file) => !fs.existsSync(path.join(root, file)))).toEqual([])
  },
)

describe('a packed page', () => {
  const isPacked = (file) =>
    ['README.md', ...files].some((some) => file === some || file.startsWith(`${some}/`))
  const links = pages()
    .filter(isPacked)
    .flatMap((page) => [...textOf(page).matchAll(/\]\(([^)]+)\)/g)].map(([, to]) => [page, to]))
  const inRepository = new RegExp(
    `^(?:${homepage.replace('#readme', '')}/(?:blob|tree)|https://raw\\.githubusercontent\\.com/[^/]+/[^/]+)/main/`,
  )

  test.each(links.filter(([, to]) => !/^https?:/.test(to)))('%s: %s is packed', (page, to) => {
    const [file, section] = to.split('#')
    const target = file === '' ? page : path.join(path.dirname(page), file)
    expect([target, isPacked(target) && fs.existsSync(path.join(root, target))]).toEqual([
      target,
      true,
    ])
    if (section) expect(sectionsOf(target)).toContain(section)
  })

  test.each(links.filter(([, to]) => inRepository.test(to)))('%s: %s is there', (_page, to) => {
    expect(fs.existsSync(path.join(root, to.replace(inRepository, '').split('#')[0]))).toBe(true)
  })

  /** As GitHub and npm name them. */
  function sectionsOf(page) {
    const headings = [...textOf(page).matchAll(/^#+ (.*)$/gm)].map(([, heading]) => heading)
    return headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
  }
})

test.each(named(inLanguage('json')))('%s is JSON, and its paths lead to types', (_name, block) => {
  const { compilerOptions } = JSON.parse(block.text)
  for (const [alias, [target]] of Object.entries(compilerOptions?.paths ?? {})) {
    const [subpath] = target.split('/node_modules/synckairos-state/').slice(1)
    expect(subpath).toBe(`${alias.slice('@/'.length)}.d.ts`)
    expect(fs.existsSync(path.join(root, subpath))).toBe(true)
  }
})

test.each(named(inLanguage('yaml')))(
  '%s is what the installation is tested with',
  (_name, block) => {
    const file = path.join(root, '__test__', 'install', 'project', 'pnpm-workspace.yaml')
    expect(fs.readFileSync(file, 'utf8').replaceAll(/^#.*\n/gm, '')).toBe(block.text)
  },
)

test('every script that a page names is there', () => {
  const names = pages().flatMap((page) => [...textOf(page).matchAll(/`npm run ([\w:]+)/g)])
  expect(Object.keys(scripts)).toEqual(expect.arrayContaining(names.map(([, name]) => name)))
})

test.each([
  ['### Manager', managerOptions({})],
  ['### Queue', queueOptions({}, {})],
  ['### Client', clientOptions({})],
])('the options under %s are those that there are, with their defaults', (heading, options) => {
  const { database: _derived, ...there } = options
  const rows = tableUnder('docs/reference.md', heading)
  const names = rows.map(([name]) => name.replaceAll('`', ''))
  expect(names.sort()).toEqual(Object.keys(there).sort())
  for (const [name, , stated] of rows) {
    const value = there[name.replaceAll('`', '')]
    if (value === undefined || typeof value === 'object') continue
    expect([name, stated]).toEqual([
      name,
      `\`${typeof value === 'string' ? `'${value}'` : value}\``,
    ])
  }
})

test('the errors are those that there are, with their codes and fields', () => {
  const { StateError: _base, ...classes } = errors
  const codesIn = (cell) => [...cell.matchAll(/`(\w+)`/g)].map(([, code]) => code)
  const rows = tableUnder('docs/reference.md', '## Errors').map((row) => row.map(codesIn))
  expect(rows.map(([[name]]) => name).sort()).toEqual(Object.keys(classes).sort())
  for (const [[name], [code], , , fields] of rows) {
    const error = new classes[name]('a', 1, 2)
    expect(error.code).toBe(code)
    for (const field of fields) expect(error[field]).toBeDefined()
  }
})
