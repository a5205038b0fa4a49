// Whether a file is CycloneDX: `node validate-bom.mjs <file>`.
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { Spec, Validation } from '@cyclonedx/cyclonedx-library'

const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6)
const fault = await validator.validate(readFileSync(process.argv[2], 'utf8'))
if (fault !== null) {
  console.error(JSON.stringify(fault, null, 2))
  process.exit(1)
}
