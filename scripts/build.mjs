// Builds the native module: `node scripts/build.mjs`, in release. `--quick` builds for iterating:
// never measure that.

import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { Steps } from './setup/Steps.mjs'

const SOURCES = ['src', 'migrations', 'Cargo.toml', 'Cargo.lock', 'build.rs']

/** Cargo's profiles, from the one that builds fastest to the one that runs fastest. */
const PROFILES = ['unoptimized', 'quick', 'release']

/** Names the profile of the binary that is there; its time is when that build began. */
const STAMP = path.join('target', 'native-profile')

/** The types of the native module, as napi generates them. */
const TYPES = 'native.d.ts'

/** Whether there is a binary that is newer than the sources, and of this profile or a faster one. */
export function isBuilt(profile = 'release') {
  const platform = `.${process.platform}-${process.arch}` // Before the libc or the toolchain.
  const isOurs = (name) => name.endsWith('.node') && name.includes(platform)
  if (!fs.readdirSync('.').some(isOurs) || !fs.existsSync(STAMP)) return false
  const isFastEnough = PROFILES.indexOf(fs.readFileSync(STAMP, 'utf8')) >= PROFILES.indexOf(profile)
  const hasTypes = profile === 'unoptimized' || fs.existsSync(TYPES)
  return isFastEnough && hasTypes && modified(STAMP) > Math.max(...SOURCES.map(newest))
}

/**
 * Builds the module. The unoptimized build needs Cargo alone: no npm package, and it makes no types.
 *
 * @param {(typeof PROFILES)[number]} profile
 * @param {import('./setup/Steps.mjs').Step} step
 */
export async function build(profile, step) {
  const begun = new Date()
  fs.rmSync(STAMP, { force: true })
  // Makes Cargo show its progress without a terminal, too.
  const env = {
    ...process.env,
    CARGO_TERM_PROGRESS_WHEN: 'always',
    CARGO_TERM_PROGRESS_WIDTH: '120',
  }
  const isProgress = (line) => {
    const progress = progressOf(line)
    if (progress) step.progress(progress)
    return progress !== undefined
  }
  await (profile === 'unoptimized' ? withCargo : withNapi)(profile, (name, args) =>
    step.run(name, args, { env, isProgress }),
  )
  fs.mkdirSync(path.dirname(STAMP), { recursive: true })
  fs.writeFileSync(STAMP, profile)
  fs.utimesSync(STAMP, begun, begun)
}

function withNapi(profile, run) {
  const napi = path.join('node_modules', '@napi-rs', 'cli', 'dist', 'cli.js')
  const args = [napi, 'build', '--platform', '--profile', profile, '--features', 'node']
  return run(process.execPath, [...args, '--no-js', '--dts', TYPES, '--', '--locked'])
}

async function withCargo(profile, run) {
  const host = /^host: (.+)$/m.exec(await run('rustc', ['-vV']))[1]
  const args = ['build', '--locked', '--lib', '--profile', profile, '--features', 'node']
  const messages = await run('cargo', [...args, '--message-format=json-render-diagnostics'])
  const made = messages.split('\n').findLast((line) => line.includes('"cdylib"'))
  const library = JSON.parse(made).filenames.find((name) => /\.(so|dylib|dll)$/.test(name))
  // As napi names it: of the target `x86_64-unknown-linux-gnu` the last part, the libc, counts.
  const [, , , abi] = host.split('-')
  const platform = [process.platform, process.arch, abi].filter(Boolean).join('-')
  const binary = `synckairos-state.${platform}.node`
  // A process that has loaded the old one keeps it.
  fs.copyFileSync(library, `${binary}.new`)
  fs.renameSync(`${binary}.new`, binary)
}

/** How far Cargo is, and what it does: of `Building [==> ] 120/276: tokio, syn` and lines of one crate. */
function progressOf(line) {
  const [, done, all, names] = /Building \[.*\] (\d+)\/(\d+): (.*)/.exec(line) ?? []
  if (done) return `${done} of ${all} units, compiling ${names.trim()}`
  return /^ *(?:[A-Z][a-z]+ing|Downloaded|Fetch|Finished|Fresh|Locked) .*/.exec(line)?.[0].trim()
}

function newest(entry) {
  if (!fs.statSync(entry).isDirectory()) return modified(entry)
  const within = fs.readdirSync(entry).map((name) => newest(path.join(entry, name)))
  return Math.max(modified(entry), ...within)
}

function modified(file) {
  return fs.statSync(file).mtimeMs
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const profile = process.argv.includes('--quick') ? 'quick' : 'release'
  const steps = new Steps()
  try {
    await steps.run(`native module, ${profile}`, (step) => build(profile, step))
  } catch (error) {
    steps.say(error.message)
    process.exitCode = 1
  }
}
