// What the package of a platform says of the software of others in its binary, held against the
// binary itself: Rust leaves in it the paths of the sources in which something may panic.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/** For example `…/index.crates.io-1949cf8c6b5b557f/tokio-1.54.1/src/…`. */
const CRATE = /index\.crates\.io-[0-9a-f]{16}[/\\]([\w.+-]+?)-(\d+\.\d+\.\d+[\w.+-]*)[/\\]/g

/**
 * Throws where a notice is missing or wrong.
 *
 * @param {string} directory of a platform's package, as it is installed
 * @returns the path of its bill of materials
 */
export function checkNotices(directory) {
  const file = (name) => path.join(directory, name)
  const { main } = JSON.parse(fs.readFileSync(file('package.json'), 'utf8'))
  const binary = fs.readFileSync(file(main))
  const bom = JSON.parse(fs.readFileSync(file('bom.cdx.json'), 'utf8'))
  const licenses = fs.readFileSync(file('THIRD-PARTY-LICENSES.txt'), 'utf8')

  assert.deepEqual(fs.readFileSync(file('LICENSE')), fs.readFileSync('LICENSE'))
  const hash = createHash('sha256').update(binary).digest('hex')
  assert.equal(bom.metadata.component.hashes[0].content, hash, 'the bill is of this binary')

  const listed = bom.components.map(({ name, version }) => `${name} ${version}`)
  const text = binary.toString('latin1')
  const found = new Set([...text.matchAll(CRATE)].map(([, name, version]) => `${name} ${version}`))
  assert.ok(found.size > 20, `only ${found.size} crates are found in the binary`)
  const unlisted = [...found].filter((one) => !listed.includes(one))
  assert.deepEqual(unlisted, [], 'in the binary and not in the bill')
  const headed = (one) => licenses.includes(`\n${one}: `)
  assert.deepEqual(
    listed.filter((one) => !headed(one)),
    [],
    'without a license',
  )
  const sqlite = bom.components.find(({ name }) => name === 'sqlite')
  assert.ok(text.includes(`\0${sqlite?.version}\0`), `the binary has no SQLite ${sqlite?.version}`)
  return file('bom.cdx.json')
}
