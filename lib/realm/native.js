'use strict'

const { Buffer } = require('node:buffer')
const fs = require('node:fs')
const path = require('node:path')
const { version } = require('../../package.json')

/** @typedef {typeof import('../../native.js')} Binding */
/** @typedef {Error & { code?: string }} Failure */

/**
 * What was built in this directory, else what was installed for this platform.
 *
 * @returns {Binding}
 */
function load() {
  const platform = platformName()
  /** @type {Failure[]} */
  const failures = []
  for (const from of [fromDirectory, fromPackage]) {
    const binding = from(platform, failures)
    if (binding?.VERSION === version) return binding
    if (binding) failures.push(otherVersion(platform, binding.VERSION))
  }
  throw unavailable(platform, failures)
}

/** The platform as napi-rs names it, in files and packages. */
function platformName() {
  const { platform, arch } = process
  if (platform === 'linux') return `linux-${arch}-${isMusl() ? 'musl' : 'gnu'}`
  return platform === 'win32' ? `win32-${arch}-msvc` : `${platform}-${arch}`
}

/**
 * Which libc this process runs on: the first page of its executable names the dynamic loader. To
 * read that takes a fraction of a millisecond; Node's report takes 20 and more, and is only asked
 * where the page names none.
 */
function isMusl() {
  try {
    const page = pageOf(process.execPath, 0)
    if (page.includes('/ld-musl-')) return true
    if (page.includes('/ld-linux')) return false
  } catch {
    // Not readable; or a test of the service has mocked `fs`.
  }
  return glibcVersion() === undefined
}

/** What is at a place in a file, of a page at most. @param {string} file @param {number} from */
function pageOf(file, from) {
  const page = Buffer.alloc(4096)
  const opened = fs.openSync(file, 'r')
  try {
    return page.subarray(0, fs.readSync(opened, page, 0, page.length, from))
  } finally {
    fs.closeSync(opened)
  }
}

/** Undefined where the libc is another, or must not be asked for (Deno without permissions). */
function glibcVersion() {
  try {
    return reportedGlibc()
  } catch {
    return undefined
  }
}

function reportedGlibc() {
  const report = /** @type {NodeJS.ProcessReport & { excludeNetwork?: boolean }} */ (process.report)
  const { excludeNetwork } = report
  report.excludeNetwork = true // It would look up the names of all peers.
  try {
    const { header } = /** @type {{ header: { glibcVersionRuntime?: string } }} */ (
      report.getReport()
    )
    return header.glibcVersionRuntime
  } finally {
    report.excludeNetwork = excludeNetwork
  }
}

/**
 * @param {string} platform
 * @param {Failure[]} failures
 * @returns {Binding | undefined}
 */
function fromDirectory(platform, failures) {
  const file = `../../synckairos-state.${platform}.node`
  try {
    // A bundle that is an ES module has no __dirname.
    if (typeof __dirname !== 'string') return require(file)
    const whole = path.join(__dirname, file)
    checkWhole(whole)
    return require(whole)
  } catch (error) {
    failures.push(/** @type {Failure} */ (error))
  }
}

/**
 * Each name is there in full, so that bundlers and tracers of files see it; and inside `try`, so
 * that they put up with those that are not installed.
 *
 * @param {string} platform
 * @param {Failure[]} failures
 * @returns {Binding | undefined}
 */
function fromPackage(platform, failures) {
  try {
    const beside = fileBeside(platform)
    if (beside !== undefined) return require(beside)
    switch (platform) {
      case 'linux-x64-gnu':
        return require('synckairos-state-linux-x64-gnu')
      case 'linux-x64-musl':
        return require('synckairos-state-linux-x64-musl')
      case 'linux-arm64-gnu':
        return require('synckairos-state-linux-arm64-gnu')
      case 'linux-arm64-musl':
        return require('synckairos-state-linux-arm64-musl')
      case 'darwin-x64':
        return require('synckairos-state-darwin-x64')
      case 'darwin-arm64':
        return require('synckairos-state-darwin-arm64')
      case 'win32-x64-msvc':
        return require('synckairos-state-win32-x64-msvc')
    }
    failures.push(unsupported(platform))
  } catch (error) {
    failures.push(/** @type {Failure} */ (error))
  }
}

/**
 * The binary of the package where package managers put it: to look there takes less time than to
 * have Node look everywhere.
 *
 * @param {string} platform
 */
function fileBeside(platform) {
  if (typeof __dirname !== 'string') return undefined
  const name = `synckairos-state-${platform}`
  const file = path.join(__dirname, '..', '..', '..', name, `synckairos-state.${platform}.node`)
  try {
    checkWhole(file)
    return file
  } catch (error) {
    if (/** @type {Failure} */ (error).code !== 'MODULE_NOT_FOUND') throw error
  }
}

/**
 * Refuses a binary that is not there, and one for Linux (ELF) that is not all there, which would end
 * the process with a bus error. The last part of a whole one is the table of its sections.
 *
 * @param {string} file
 */
function checkWhole(file) {
  let length
  try {
    const page = pageOf(file, 0)
    if (!page.includes('\x7fELF') || page.length < 64) return
    const sections = Number(page.readBigUInt64LE(0x28))
    length = sections + page.readUInt16LE(0x3a) * page.readUInt16LE(0x3c)
    if (pageOf(file, length - 1).length > 0) return
  } catch (error) {
    if (/** @type {Failure} */ (error).code !== 'ENOENT') return // To be told by whoever loads it.
    throw Object.assign(new Error(`There is no ${file}`), { code: 'MODULE_NOT_FOUND' })
  }
  const text = `${file} is cut off: it is shorter than ${length} bytes`
  throw Object.assign(new Error(text), { code: 'CUT_OFF' })
}

/** @param {string} platform */
function unsupported(platform) {
  const text = `There is no package synckairos-state-${platform}`
  return Object.assign(new Error(text), { code: 'UNSUPPORTED_PLATFORM' })
}

/** @param {string} platform @param {string} found */
function otherVersion(platform, found) {
  const text = `The binary for ${platform} is of version ${found}, synckairos-state of ${version}`
  return Object.assign(new Error(text), { code: 'OTHER_VERSION' })
}

/**
 * One error that hides none: `cause` is the first that says more than that something is not there.
 *
 * @param {string} platform
 * @param {Failure[]} failures
 */
function unavailable(platform, failures) {
  const cause = failures.find(({ code }) => code !== 'MODULE_NOT_FOUND') ?? failures.at(-1)
  const { versions } = process
  const libc = platform.endsWith('-gnu') ? glibcVersion() : undefined
  const glibc = libc === undefined ? '' : `, glibc ${libc}`
  const lines = [
    `No native module of synckairos-state can be loaded on ${platform} (Node.js ${versions.node}, N-API ${versions.napi}${glibc}):`,
    ...failures.map(({ message }) => `- ${message.split('\n', 1)[0]}`),
    advice(platform, /** @type {Failure} */ (cause)),
  ]
  const error = new AggregateError(failures, lines.join('\n'), { cause })
  return Object.assign(error, { code: 'NATIVE_MODULE_UNAVAILABLE' })
}

/** @param {string} platform @param {Failure} cause */
function advice(platform, { code }) {
  switch (code) {
    case 'UNSUPPORTED_PLATFORM':
      return 'There are binaries for Linux (x64 and arm64; glibc 2.17 or later, or musl), macOS (x64 and arm64) and Windows (x64). Elsewhere build one from the sources: see the README.'
    case 'OTHER_VERSION':
      return 'Install again, so that both are of one version; if it stays, remove node_modules and the lockfile first.'
    case 'ERR_DLOPEN_DISABLED':
      return 'Node.js was started so that it loads no native modules: without --no-addons, and with --allow-addons where there are permissions, it does.'
    case 'MODULE_NOT_FOUND': {
      const others = otherPackages(platform)
      if (others.length > 0)
        return `Installed is ${others.join(', ')}: node_modules was made on another platform. Remove it and install on this one.`
      return `Install again, with optional dependencies (no --omit=optional, no --no-optional), on this platform. If synckairos-state-${platform} is still not there, the lockfile was made on another platform and leaves it out: remove node_modules and the lockfile first.`
    }
    default:
      return 'The file is there and cannot be loaded: it is damaged, or made for another system or libc. Remove node_modules and install again, on this platform.'
  }
}

/** What is installed for other platforms than this one. @param {string} platform */
function otherPackages(platform) {
  const prefix = 'synckairos-state-'
  try {
    const names = fs.readdirSync(path.join(__dirname, '..', '..', '..'))
    return names.filter((name) => name.startsWith(prefix) && name !== prefix + platform)
  } catch {
    return [] // In a bundle.
  }
}

module.exports = load()
