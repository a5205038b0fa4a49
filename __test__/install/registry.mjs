// A registry that has the packages of this repository as if they were published, and sends its
// callers to the real one for all else. Of a platform that was not packed here it knows the
// package, and has no tarball: who is so wrong as to install it fails.

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import path from 'node:path'

/**
 * @param {string[]} tarballs
 * @param {string} upstream the real registry's URL
 */
export async function startRegistry(tarballs, upstream) {
  const files = new Map(tarballs.map((tarball) => [`/${path.basename(tarball)}`, tarball]))
  const packages = new Map()
  const server = http.createServer((request, response) => {
    if (packages.has(request.url)) {
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(packages.get(request.url)))
    } else if (files.has(request.url)) {
      fs.createReadStream(files.get(request.url)).pipe(response)
    } else if (request.url.startsWith('/synckairos-state')) {
      response.writeHead(404).end()
    } else {
      response.writeHead(302, { location: new URL(request.url.slice(1), upstream).href }).end()
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const url = `http://127.0.0.1:${server.address().port}`
  const add = (manifest, dist) => packages.set(`/${manifest.name}`, packument(manifest, dist))
  for (const platform of fs.readdirSync('npm')) {
    const manifest = JSON.parse(fs.readFileSync(path.join('npm', platform, 'package.json'), 'utf8'))
    add(manifest, { tarball: `${url}/${manifest.name}.tgz`, integrity: integrity('') })
  }
  for (const [name, file] of files) {
    add(manifestIn(file), { tarball: url + name, integrity: integrity(fs.readFileSync(file)) })
  }
  return { url: `${url}/`, stop: () => server.close() }
}

/** What a registry says of a package with one version. */
function packument(manifest, dist) {
  const { name, version } = manifest
  return {
    name,
    'dist-tags': { latest: version },
    versions: { [version]: { ...manifest, dist } },
    time: { [version]: '2026-01-01T00:00:00.000Z' },
  }
}

function manifestIn(tarball) {
  const text = execFileSync('tar', ['-xOf', tarball, 'package/package.json'], { encoding: 'utf8' })
  return JSON.parse(text)
}

function integrity(content) {
  return `sha512-${createHash('sha512').update(content).digest('base64')}`
}
