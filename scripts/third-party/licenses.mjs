// Finds the texts of licenses, says which licenses they are, and whether that is what an SPDX
// expression demands.

import fs from 'node:fs'
import path from 'node:path'

const IS_LICENSE = /^((un)?licen[cs]es?|copying|copyright|notice)(?![a-z])/i
const IS_CODE = /\.(rs|c|h|s|pl|py|sh|toml|json)$/i

/** A phrase of each license that no other has. */
const PHRASES = {
  'Apache-2.0': /Apache License,? Version 2\.0/,
  'BSD-3-Clause':
    /(Neither the name|The names) of .{1,200} may (not )?be used to endorse or promote/,
  'BSL-1.0': /Boost Software License - Version 1\.0/,
  ISC: /Permission to use, copy, modify, and(\/or)? distribute this software for any purpose/,
  'LLVM-exception': /LLVM Exceptions to the Apache 2\.0 License/,
  MIT: /Permission is hereby granted, free of charge, to any person obtaining a copy of this software/,
  'Unicode-3.0': /UNICODE LICENSE V3/,
  Unlicense: /free and unencumbered software released into the public domain/,
  Zlib: /The origin of this software must not be misrepresented/,
  blessing: /May you do good and not evil/,
}

/**
 * The files below a directory that are named after licenses and notices.
 *
 * @param {string} directory
 */
export function licenseFilesIn(directory) {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !IS_CODE.test(entry.name))
    .filter(({ name, parentPath }) => {
      return IS_LICENSE.test(name) || /^licenses$/i.test(path.basename(parentPath))
    })
    .map(({ name, parentPath }) => path.join(parentPath, name))
    .sort()
}

/**
 * @param {string} text
 * @returns {string[]} the SPDX names of the licenses that it has
 */
export function licensesIn(text) {
  const line = text.replace(/^[\s*/#]+/gm, ' ').replace(/\s+/g, ' ')
  return Object.keys(PHRASES).filter((name) => PHRASES[name].test(line))
}

/**
 * Whether these licenses are all that an expression demands.
 *
 * @param {string} expression of SPDX, for example `(MIT OR Apache-2.0) AND Unicode-3.0`
 * @param {Set<string>} licenses
 */
export function isSatisfied(expression, licenses) {
  const tokens = expression.match(/[()]|[^\s()]+/g) ?? []
  const take = (token) => tokens[0] === token && tokens.shift() !== undefined
  const any = () => {
    let value = every()
    while (take('OR')) value = every() || value
    return value
  }
  const every = () => {
    let value = one()
    while (take('AND')) value = one() && value
    return value
  }
  const one = () => {
    if (take('(')) {
      const value = any()
      take(')')
      return value
    }
    const value = licenses.has(tokens.shift())
    return take('WITH') ? licenses.has(tokens.shift()) && value : value
  }
  return any() && tokens.length === 0
}
