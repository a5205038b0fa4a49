// What lies beside a binary for its users: the licenses of the software in it, and the list of that
// software for scanners of vulnerabilities.

import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { bomOf } from './bom.mjs'

export const LICENSES = 'THIRD-PARTY-LICENSES.txt'
export const BOM = 'bom.cdx.json'

const LINE = '-'.repeat(80)

/**
 * @param {string} directory of a platform's package, with its manifest
 * @param {string} binary
 * @param {import('./components.mjs').Component[]} components
 */
export function writeNotices(directory, binary, components) {
  const manifest = JSON.parse(fs.readFileSync(path.join(directory, 'package.json'), 'utf8'))
  const sha256 = createHash('sha256').update(fs.readFileSync(binary)).digest('hex')
  const bom = bomOf({ name: manifest.name, version: manifest.version, sha256 }, components)
  fs.writeFileSync(path.join(directory, BOM), `${JSON.stringify(bom, null, 2)}\n`)
  fs.writeFileSync(path.join(directory, LICENSES), licensesOf(components))
}

/** All texts, each once, below the names of those that have it. */
function licensesOf(components) {
  const summary = components.map(({ name, version, license }) => `${name} ${version}: ${license}`)
  const owners = new Map()
  for (const { name, version, texts } of components) {
    for (const text of new Set(texts.map((one) => one.trim()))) {
      owners.set(text, [...(owners.get(text) ?? []), `${name} ${version}`])
    }
  }
  const sections = [...owners].map(([text, names]) =>
    [LINE, names.join(', '), LINE, text].join('\n'),
  )
  const head = `The binary of this package contains this software of others:\n\n${summary.join('\n')}`
  return `${[head, ...sections].join('\n\n')}\n`
}
