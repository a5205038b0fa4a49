// A software bill of materials as CycloneDX 1.6 wants it. The same components give the same bytes:
// it has no time, and its serial number is made of its content.

import { createHash } from 'node:crypto'

/**
 * @param {{ name: string, version: string, sha256: string }} main the package, and its binary's checksum
 * @param {import('./components.mjs').Component[]} components what the binary contains
 */
export function bomOf({ name, version, sha256 }, components) {
  const purl = `pkg:npm/${name}@${version}`
  const direct = components.filter(({ isDirect }) => isDirect)
  const content = {
    metadata: {
      lifecycles: [{ phase: 'build' }],
      component: {
        type: 'library',
        'bom-ref': purl,
        name,
        version,
        purl,
        licenses: [{ license: { id: 'MIT' } }],
        hashes: [sha256Of(sha256)],
      },
    },
    components: components.map(entryOf),
    dependencies: [
      { ref: purl, dependsOn: direct.map((component) => component.purl) },
      ...components.map((component) => ({ ref: component.purl, dependsOn: component.dependsOn })),
    ],
  }
  return {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}`,
    version: 1,
    ...content,
  }
}

function entryOf({ name, version, purl, license, sha256, cpe }) {
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version,
    licenses: [{ expression: license }],
    ...(sha256 && { hashes: [sha256Of(sha256)] }),
    ...(cpe && { cpe }),
    purl,
  }
}

function sha256Of(content) {
  return { alg: 'SHA-256', content }
}

/** A UUID of version 8: whose bits are what its maker wants. */
function uuidOf(text) {
  const hex = createHash('sha256').update(text).digest('hex')
  const [a, b, c, d, e] = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    hex.slice(13, 16),
    hex.slice(17, 20),
    hex.slice(20, 32),
  ]
  return `${a}-${b}-8${c}-8${d}-${e}`
}
