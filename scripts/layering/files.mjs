import fs from 'node:fs'
import path from 'node:path'

/** The files below a directory whose names end so, with their texts; by path, `/` between its parts. */
export function readFiles(root, directory, ending) {
  const names = fs
    .readdirSync(path.join(root, directory), { recursive: true })
    .filter((name) => name.endsWith(ending))
    .sort()
  return new Map(
    names.map((name) => {
      const file = path.posix.join(directory, ...name.split(path.sep))
      return [file, fs.readFileSync(path.join(root, file), 'utf8')]
    }),
  )
}
