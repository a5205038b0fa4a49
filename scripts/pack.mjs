// Packs what is published: `node scripts/pack.mjs [--prebuilt] [directory]` writes tarballs of the
// main package and of this machine's platform, whose binary it builds, into the directory
// (target/packages) and prints their paths. With `--prebuilt` the platforms are those whose
// binaries lie in npm/ already, with their notices.

import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { parseTriple } from '@napi-rs/cli'
import { buildPublishable, hostTarget } from './publishable.mjs'
import { BOM, LICENSES } from './third-party/notices.mjs'

const STAGE = path.join('target', 'stage')

/** @returns {string[]} the tarballs' paths, the main package's first */
export function pack(directory = path.join('target', 'packages'), { prebuilt = false } = {}) {
  fs.mkdirSync(directory, { recursive: true })
  if (!prebuilt) buildPublishable()
  const platforms = prebuilt ? prebuiltPlatforms() : [parseTriple(hostTarget()).platformArchABI]
  fs.rmSync(STAGE, { recursive: true, force: true })
  const packages = [stageMain(), ...platforms.map(stagePlatform)]
  return packages.map((from) => {
    const { filename } = npmPack(from, '--pack-destination', directory)
    return path.resolve(directory, filename)
  })
}

/**
 * The main package as it is published. Its platforms' packages are named here and not in the repository's package.json:
 * `npm ci` could not install there what is published only afterwards.
 */
function stageMain() {
  const manifest = JSON.parse(fs.readFileSync('package.json', 'utf8'))
  const { scripts, devDependencies, napi, ...published } = manifest
  const names = fs.readdirSync('npm').map((name) => `${manifest.name}-${name}`)
  published.optionalDependencies = Object.fromEntries(names.map((name) => [name, manifest.version]))
  const stage = path.join(STAGE, 'main')
  for (const { path: name } of npmPack('.', '--dry-run').files) {
    fs.cpSync(name, path.join(stage, name))
  }
  writeManifest(stage, published)
  return stage
}

/** A platform's package as it is published: with its license, and the notices about others' code. */
function stagePlatform(name) {
  const from = path.join('npm', name)
  const stage = path.join(STAGE, name)
  const manifest = JSON.parse(fs.readFileSync(path.join(from, 'package.json'), 'utf8'))
  manifest.files.push(LICENSES, BOM)
  for (const file of ['README.md', ...manifest.files]) {
    fs.cpSync(path.join(from, file), path.join(stage, file))
  }
  fs.cpSync('LICENSE', path.join(stage, 'LICENSE'))
  writeManifest(stage, manifest)
  return stage
}

function writeManifest(stage, manifest) {
  fs.writeFileSync(path.join(stage, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
}

function prebuiltPlatforms() {
  const isBinary = (name) => name.endsWith('.node')
  return fs
    .readdirSync('npm')
    .filter((name) => fs.readdirSync(path.join('npm', name)).some(isBinary))
}

/** What npm says of the package that it made of a directory. */
function npmPack(from, ...options) {
  const args = ['pack', path.resolve(from), '--json', ...options]
  const shell = process.platform === 'win32' // npm is a batch file there.
  const [packed] = JSON.parse(execFileSync('npm', args, { encoding: 'utf8', shell }))
  return packed
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const options = { prebuilt: { type: 'boolean' } }
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  for (const tarball of pack(positionals[0], values)) process.stdout.write(`${tarball}\n`)
}
