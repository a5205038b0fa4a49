'use strict'

const { runScript } = require('./harness/child.js')

test('import and require give the same names and the same classes', async () => {
  const { stdout, stderr } = await runScript(`
    const required = require('./index.js')
    import('./index.mjs').then((imported) => {
      const names = Object.keys(required)
      console.log(JSON.stringify({
        names: [names.sort(), Object.keys(imported).sort()],
        same: names.every((name) => required[name] === imported[name]),
      }))
    })`)
  expect(stderr).toBe('')
  const { names, same } = JSON.parse(stdout)
  expect(names[1]).toEqual(names[0])
  expect(same).toBe(true)
})
