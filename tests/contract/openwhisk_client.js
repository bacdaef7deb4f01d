// Uses npm's openwhisk as its documentation does; prints what came back as one JSON object.
const openwhisk = require('openwhisk')

async function failure (promise) {
  try {
    await promise
    return null
  } catch (error) {
    return { name: error.name, statusCode: error.statusCode, message: error.message, error: error.error }
  }
}

async function until (look) {
  for (let tries = 0; tries < 100; tries++) {
    const found = await look().catch(() => null)
    if (found) return found
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error('nothing came')
}

async function main () {
  const ow = openwhisk({ apihost: process.env.APIHOST, api_key: process.env.AUTH })
  const seen = {}
  const kind = 'python:3.11'
  const action = 'def main(args):\n    print("hello")\n    return {"n": args.get("n", 0) + 1, "p": args.get("p")}\n'

  seen.package = await ow.packages.update({ name: 'pkg', package: { parameters: [{ key: 'p', value: 'package' }] } })
  seen.created = await ow.actions.create({ name: 'pkg/add', action, kind, limits: { timeout: 5000 } })
  seen.again = await failure(ow.actions.create({ name: 'pkg/add', action, kind }))
  seen.updated = await ow.actions.update({ name: 'pkg/add', action, kind, annotations: { description: 'adds' } })
  seen.zipped = await ow.actions.update({ name: 'zipped', action: Buffer.from(process.env.ZIP, 'base64'), kind })
  seen.zipResult = await ow.actions.invoke({ name: 'zipped', blocking: true, result: true, params: {} })
  seen.result = await ow.actions.invoke({ name: 'pkg/add', blocking: true, result: true, params: { n: 1 } })
  seen.record = await ow.actions.invoke({ name: 'pkg/add', blocking: true, params: { n: 2 } })
  const started = await ow.actions.invoke({ name: 'pkg/add', params: { n: 3 } })
  seen.later = await until(() => ow.activations.get({ name: started.activationId }))
  seen.logs = await ow.activations.logs(started)
  seen.activationResult = await ow.activations.result(started)

  await ow.actions.update({ name: 'two', sequence: ['/_/pkg/add', '/_/pkg/add'] })
  seen.sequence = await ow.actions.invoke({ name: 'two', blocking: true, result: true, params: { n: 0 } })

  await ow.triggers.create({ name: 'tick' })
  seen.rule = await ow.rules.create({ name: 'tick-tock', action: 'pkg/add', trigger: 'tick' })
  const fired = await ow.triggers.invoke({ name: 'tick', params: { n: 10 } })
  const firing = await until(() => ow.activations.get({ name: fired.activationId }))
  const { activationId } = JSON.parse(firing.logs[0])
  seen.fired = (await until(() => ow.activations.get({ name: activationId }))).response.result
  await ow.rules.disable({ name: 'tick-tock' })
  seen.disabled = (await ow.rules.get({ name: 'tick-tock' })).status
  await ow.rules.enable({ name: 'tick-tock' })
  seen.enabled = (await ow.rules.get({ name: 'tick-tock' })).status

  seen.lists = {
    actions: (await ow.actions.list()).map((row) => row.name),
    packages: (await ow.packages.list()).map((row) => row.name),
    triggers: (await ow.triggers.list()).map((row) => row.name),
    rules: (await ow.rules.list()).map((row) => row.name),
    namespaces: await ow.namespaces.list()
  }
  seen.missing = await failure(ow.actions.get({ name: 'nothing' }))
  await ow.actions.update({ name: 'fails', action: 'def main(args):\n    raise ValueError("no")\n', kind })
  seen.failed = await failure(ow.actions.invoke({ name: 'fails', blocking: true, result: true }))

  await ow.rules.delete({ name: 'tick-tock' })
  await ow.triggers.delete({ name: 'tick' })
  for (const name of ['two', 'fails', 'zipped', 'pkg/add']) await ow.actions.delete({ name })
  await ow.packages.delete({ name: 'pkg' })
  seen.left = await ow.actions.list()
  console.log(JSON.stringify(seen))
}

main().catch((error) => {
  console.error(error)
  process.exit(1)
})
