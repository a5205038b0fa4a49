'use strict'

// Prints what `import` and what `require` give for the package's entry of that name. A file, as
// not every runtime can import in a script that it is handed as text.

const entry = process.env.ENTRY
const required = require(entry)

import(entry).then(({ default: api, 'module.exports': _api, ...imported }) => {
  const names = Object.keys(required)
  const result = {
    names: [names.sort(), Object.keys(imported).sort()],
    same: api === required && names.every((name) => required[name] === imported[name]),
  }
  console.log(JSON.stringify(result))
})
