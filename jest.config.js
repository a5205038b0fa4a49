'use strict'

/** @type {import('jest').Config} */
module.exports = {
  testEnvironment: 'node',
  roots: ['<rootDir>/__test__'],
  testMatch: ['**/*.test.js'],
  transform: {},
  // Two cores: servers, proxies and child processes need one of them.
  maxWorkers: 2,
  testTimeout: 30_000,
}
