// Runs one command of npm's @adobe/aio-cli-plugin-runtime: node aio.js runtime action list --json
const path = require('path')
const root = path.dirname(require.resolve('@adobe/aio-cli-plugin-runtime/package.json'))

require('@oclif/core').run(process.argv.slice(2), { root }).then(require('@oclif/core/flush'), require('@oclif/core/handle'))
