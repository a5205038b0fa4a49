'use strict'

const { spawnSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')

const SCRIPT = path.join(__dirname, '..', 'scripts', 'layering.mjs')

let root
beforeEach(() => {
  root = fs.mkdtempSync(path.join(os.tmpdir(), 'layering-'))
})
afterEach(() => {
  fs.rmSync(root, { recursive: true })
})

/** What the script finds in a tree of these files. */
function faults(files) {
  for (const [file, text] of Object.entries({
    'src/lib.rs': '',
    'lib/realm/types.js': '',
    'bin/program.js': '',
    'errors/StateErrors.d.ts': '',
    'types/session.d.ts': '',
    'config/redis.d.ts': '',
    'state/DBWriteQueue.d.ts': '',
    'testing/index.d.ts': '',
    ...files,
  })) {
    fs.mkdirSync(path.join(root, path.dirname(file)), { recursive: true })
    fs.writeFileSync(path.join(root, file), text)
  }
  const { status, stderr } = spawnSync(process.execPath, [SCRIPT, root], { encoding: 'utf8' })
  const [, ...lines] = stderr.trimEnd().split('\n')
  expect(status).toBe(lines.length > 0 ? 1 : 0)
  return lines.map((line) => line.trim())
}

const cyclesIn = (files) => faults(files).filter((fault) => fault.startsWith('a cycle: '))

const A_AND_B = 'a cycle: src/redis/a.rs -> src/redis/b.rs -> src/redis/a.rs'

/** Rust in which `b` needs `a`, by one import of the other kind in each test. */
const inRust = (a, mod = 'mod a;\nmod b;\n', b = 'use super::a::A;') => ({
  'src/redis/mod.rs': mod,
  'src/redis/a.rs': a,
  'src/redis/b.rs': b,
})

test.each([
  ['use of a sibling', 'use super::b::B;'],
  ['use from the root', 'use crate::redis::b::B;'],
  ['use of several', 'use crate::{error::Error, redis::{c::C, b::{self, B as Other}}};'],
  ['use over several lines', 'use crate::redis::{\n  c::C,\n  b::B,\n};'],
  ['a glob', 'use super::b::*;'],
  ['a public re-export', 'pub use super::b::B;'],
  ['a path in the code', 'fn f() { return crate::redis::b::f() }'],
  ['a relative path in the code', 'impl super::b::B for A {}'],
  ['a path by way of an imported directory', 'use crate::redis;\nfn f() { redis::b::f() }'],
  ['a path by way of an alias', 'use crate::redis as r;\nfn f() -> r::b::B { x }'],
  ['use in an inline module', 'mod inner { use super::super::b::B; }'],
  ['use in a function, behind a test', '#[cfg(test)]\nmod tests { }\nfn f() { use super::b::B; }'],
  ['use behind text that looks like a comment', 'const URL: &str = "/*";\nuse super::b::B;'],
])('two Rust files that need each other are found: %s', (_, a) => {
  expect(faults(inRust(a))).toEqual([A_AND_B])
})

test.each([
  ['a child', 'use super::B;', 'mod a;\nmod b;\npub use b::B;'],
  ['a renamed child', 'use super::Other;', 'mod a;\nmod b;\npub(crate) use self::b::{B as Other};'],
])('a re-export of a mod.rs is an import of the file that it names: %s', (_, a, mod) => {
  expect(faults(inRust(a, mod))).toEqual([A_AND_B])
})

test('a re-export of another file makes no cycle', () => {
  const mod = 'mod a;\nmod b;\nmod c;\npub use a::A;\npub use c::C;'
  const files = inRust('use super::C;', mod, 'use super::{A, C};')
  expect(faults({ ...files, 'src/redis/c.rs': '' })).toEqual([])
})

test('a mod.rs with code of its own is a file like any other', () => {
  const mod = 'mod a;\nmod b;\npub fn f() { a::f() }'
  expect(faults(inRust('use super::f;', mod))).toEqual([
    'a cycle: src/redis/a.rs -> src/redis/mod.rs -> src/redis/a.rs',
  ])
})

test.each([
  ['a module of tests', '#[cfg(test)]\nmod tests { use super::super::b::B; }'],
  ['a test with attributes', '#[cfg(all(test, unix))]\n#[allow(dead_code)]\nuse super::b::B;'],
  ['a comment', '// use super::b::B;\n/* crate::redis::b::f() */\n//! [`super::b`]'],
  ['a string', 'const A: &str = r#""use super::b::B;"#;\nconst B: &str = "\\"super::b::B";'],
  ['a crate of that name', 'use b::B;\nfn f() { b::f() }'],
])('what is no import makes no cycle: %s', (_, a) => {
  expect(faults(inRust(a))).toEqual([])
})

test('tests in a file of their own may need what they test', () => {
  const files = inRust('', '#[cfg(test)]\nmod a;\nmod b;', 'use super::c;')
  expect(faults({ ...files, 'src/redis/c.rs': '' })).toEqual([])
})

test('a cycle around several files of several directories is named as a whole', () => {
  expect(
    faults({
      'src/redis/mod.rs': 'mod a;\nmod c;',
      'src/redis/a.rs': 'use super::c::d::D;',
      'src/redis/c/mod.rs': 'pub mod d;\nmod e;',
      'src/redis/c/d.rs': 'use super::e::E;',
      'src/redis/c/e.rs': 'use crate::redis::a::A;',
    }),
  ).toEqual(['a cycle: src/redis/a.rs -> src/redis/c/d.rs -> src/redis/c/e.rs -> src/redis/a.rs'])
})

test('each of several cycles is named', () => {
  expect(
    faults({
      ...inRust('use super::b::B;', 'mod a; mod b; mod c;', 'use super::{a::A, c::C};'),
      'src/redis/c.rs': 'use super::b::B;',
    }),
  ).toEqual([A_AND_B, 'a cycle: src/redis/c.rs -> src/redis/b.rs -> src/redis/c.rs'])
})

test('JavaScript files that need each other are found, lazy imports too', () => {
  expect(
    cyclesIn({
      'lib/realm/clock.js': "const { b } = require('./dates.js')",
      'lib/realm/dates.js': "const c = () => require('./errors.js')",
      'lib/realm/errors.js': "module.exports = require('./clock')",
    }),
  ).toEqual([
    'a cycle: lib/realm/clock.js -> lib/realm/dates.js -> lib/realm/errors.js -> lib/realm/clock.js',
  ])
})

test('types that JSDoc imports make no cycle, nor does any other comment', () => {
  expect(
    cyclesIn({
      'lib/settings/options.js': "const { e } = require('./errors.js')",
      'lib/realm/errors.js': [
        "/** @typedef {import('./options.js').Options} Options */",
        "/**\n * @param {typeof import('./options.js')} options\n */",
        "const url = 'redis://' // once require('./options.js')",
      ].join('\n'),
    }),
  ).toEqual([])
})

test('files of types that need each other are found', () => {
  expect(
    cyclesIn({
      'state/DBWriteQueue.d.ts': "import type { Logger } from './RedisStateManager.js'",
      'state/RedisStateManager.d.ts': "export type { Logger } from './DBWriteQueue.js'",
    }),
  ).toEqual([
    'a cycle: state/DBWriteQueue.d.ts -> state/RedisStateManager.d.ts -> state/DBWriteQueue.d.ts',
  ])
})

test('an import of a room above is found', () => {
  expect(faults({ 'src/error.rs': 'use crate::keys::Keys;', 'src/keys.rs': '' })).toEqual([
    'src/error.rs: imports keys, which is no room below',
  ])
  expect(faults({ 'src/error.rs': 'use napi::Error;\nfn f() { napi::g() }' })).toEqual([
    'src/error.rs: only src/node knows Node',
  ])
})

test('an import of a room above is found between files of types', () => {
  const files = { 'types/session.d.ts': "import type { RedisSource } from '../config/redis.js'" }
  expect(faults(files)).toEqual(['types/session.d.ts: imports config, which is no room below'])
})
