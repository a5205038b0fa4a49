// What the binary of a platform consists of besides this repository's code, by Cargo and the crates
// themselves: nothing is listed by hand that a change of Cargo.lock could make wrong.

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { isSatisfied, licenseFilesIn, licensesIn } from './licenses.mjs'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..', '..')

/** The crates of napi-rs are published without the license of their repository; its CLI has it. */
const NAPI_RS = 'https://github.com/napi-rs/napi-rs'
const LICENSE_OF_NAPI_RS = path.join('node_modules', '@napi-rs', 'cli', 'LICENSE')

const SQLITE_LICENSE = `SQLite is in the public domain. In place of a legal notice its source code has a blessing:

    May you do good and not evil.
    May you find forgiveness for yourself and forgive others.
    May you share freely, never taking more than you give.
`

/**
 * @typedef {object} Component
 * @property {string} name
 * @property {string} version
 * @property {string} purl identifies it and its version, everywhere
 * @property {string} license an SPDX expression
 * @property {string[]} texts its license, and whatever else it wants to be passed on
 * @property {string} [sha256] of the package on crates.io
 * @property {string} [cpe] the name by which vulnerabilities are looked up, where that is not `purl`
 * @property {boolean} isDirect whether this repository's code needs it itself
 * @property {string[]} dependsOn the `purl`s of others
 */

/**
 * @param {string} target for example `x86_64-unknown-linux-gnu`
 * @param {string} [zig] the directory of the linker, if that is zig
 * @returns {Component[]} sorted by name. Throws if one has no text of its license.
 */
export function componentsOf(target, zig) {
  const crates = cratesOf(target)
  const all = [...crates, sqliteIn(crates), rust(), ...(zig ? [zigIn(zig)] : [])]
  for (const { name, version, license, texts } of all) {
    const found = new Set(texts.flatMap(licensesIn))
    if (isSatisfied(license, found)) continue
    throw new Error(
      `${name} ${version} is licensed under ${license}, and has texts of ${[...found].join(', ') || 'none'}: ` +
        'find the text upstream and add it in scripts/third-party/components.mjs',
    )
  }
  return all.map(({ directory, ...component }) => component).sort(byPurl)
}

/** The crates that code comes from: the normal dependencies, and the macros among them. */
function cratesOf(target) {
  const features = ['--locked', '--features', 'node']
  const only = ['--filter-platform', target]
  const { packages, resolve } = JSON.parse(
    cargo('metadata', ...features, '--format-version', '1', ...only),
  )
  // The metadata also name what a weak dependency (`name?/feature`) would need; the tree does not.
  const tree = cargo('tree', ...features, '--target', target, '-e', 'normal', '--prefix', 'none')
  const used = new Set(
    [...tree.matchAll(/^(\S+) v(\S+)/gm)].map(([, name, version]) => `${name} ${version}`),
  )
  const checksums = checksumsOfLockfile()
  const byId = new Map(packages.map((one) => [one.id, one]))
  const needsOf = (deps) =>
    deps
      .filter(({ dep_kinds }) => dep_kinds.some(({ kind }) => kind === null))
      .map(({ pkg }) => byId.get(pkg))
      .filter((need) => used.has(keyOf(need)))
      .map(purlOf)
  const direct = new Set(needsOf(resolve.nodes.find(({ id }) => id === resolve.root).deps))
  return resolve.nodes
    .filter(({ id }) => id !== resolve.root && used.has(keyOf(byId.get(id))))
    .map(({ id, deps }) => {
      const crate = byId.get(id)
      return {
        name: crate.name,
        version: crate.version,
        purl: purlOf(crate),
        license: (crate.license ?? 'NOASSERTION').replaceAll('/', ' OR '),
        texts: textsOf(crate, packages),
        sha256: checksums.get(keyOf(crate)),
        isDirect: direct.has(purlOf(crate)),
        dependsOn: needsOf(deps),
        directory: path.dirname(crate.manifest_path),
      }
    })
}

/** Those that a crate is published with; else those of another crate of the same repository. */
function textsOf(crate, packages) {
  const own = textsIn(crate)
  if (own.length > 0) return own
  if (crate.repository === NAPI_RS) return [read(path.join(ROOT, LICENSE_OF_NAPI_RS))]
  return packages
    .filter(({ repository }) => repository && repository === crate.repository)
    .flatMap(textsIn)
}

function textsIn({ manifest_path }) {
  // A symbolic link may have been published as its target's path.
  return licenseFilesIn(path.dirname(manifest_path))
    .map(read)
    .filter((text) => !/^\.\.\/\S+$/.test(text))
}

function cargo(...args) {
  return execFileSync('cargo', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 << 20 })
}

function keyOf({ name, version }) {
  return `${name} ${version}`
}

function purlOf({ name, version }) {
  return `pkg:cargo/${name}@${version}`
}

function checksumsOfLockfile() {
  const entry = /name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"/g
  const found = read(path.join(ROOT, 'Cargo.lock')).matchAll(entry)
  return new Map([...found].map(([, name, version, sha256]) => [`${name} ${version}`, sha256]))
}

/** SQLite's own code, which a crate compiles in. */
function sqliteIn(crates) {
  const crate = crates.find(({ name }) => name === 'libsqlite3-sys')
  const header = read(path.join(crate.directory, 'sqlite3', 'sqlite3.h'))
  const [, version] = /#define SQLITE_VERSION\s+"(.+)"/.exec(header)
  const purl = `pkg:generic/sqlite@${version}`
  crate.dependsOn.push(purl)
  return {
    name: 'sqlite',
    version,
    purl,
    license: 'blessing',
    texts: [SQLITE_LICENSE],
    cpe: `cpe:2.3:a:sqlite:sqlite:${version}:*:*:*:*:*:*:*`,
    isDirect: false,
    dependsOn: [],
  }
}

/** Rust's standard library. Its notices are a page of HTML, which the toolchain has. */
function rust() {
  const rustc = (...args) => execFileSync('rustc', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  const version = /^release: (.+)$/m.exec(rustc('-vV'))[1]
  const notices = path.join(rustc('--print', 'sysroot'), 'share/doc/rust/COPYRIGHT-library.html')
  return {
    name: 'rust-std',
    version,
    purl: `pkg:generic/rust-std@${version}`,
    license: 'MIT OR Apache-2.0',
    texts: [textOf(read(notices))],
    isDirect: true,
    dependsOn: [],
  }
}

/** What zig links in: its own start-up code and LLVM's unwinder. */
function zigIn(directory) {
  const [, version] = /^ziglang-(.+)\.dist-info$/m.exec(fs.readdirSync(directory).join('\n'))
  const files = ['LICENSE', path.join('lib', 'libunwind', 'LICENSE.TXT')]
  return {
    name: 'zig',
    version,
    purl: `pkg:generic/zig@${version}`,
    license: 'MIT AND Apache-2.0 WITH LLVM-exception',
    texts: files.map((file) => read(path.join(directory, 'ziglang', file))),
    isDirect: true,
    dependsOn: [],
  }
}

/** The text of a page that has no scripts and no styles. */
function textOf(html) {
  const entities = { lt: '<', gt: '>', quot: '"', '#39': "'", '#34': '"', '#x27': "'", amp: '&' }
  return html
    .slice(html.indexOf('<body>'))
    .replace(/<[^>]*>/g, '')
    .replace(/&(#?\w+);/g, (all, name) => entities[name] ?? all)
    .replace(/\s*\n(\s*\n)+/g, '\n\n')
    .trim()
}

function read(file) {
  return fs.readFileSync(file, 'utf8').replaceAll('\r\n', '\n')
}

function byPurl(a, b) {
  return a.purl < b.purl ? -1 : 1
}
