// Feeds a trigger as npm's openwhisk documents it; prints what each call came to as one JSON object.
const openwhisk = require('openwhisk')

async function main () {
  const ow = openwhisk({ apihost: process.env.APIHOST, api_key: process.env.AUTH })
  const [trigger, stock] = [process.env.TRIGGER, JSON.parse(process.env.STOCK)]
  const feed = { feedName: '/guest/faas/kafka_feed', trigger }
  const seen = {}
  await ow.triggers.create({ name: trigger })
  seen.created = (await ow.feeds.create({ ...feed, params: stock })).response.result
  seen.updated = (await ow.feeds.update({ ...feed, params: { batch_records: 7 } })).response.result
  seen.read = (await ow.feeds.get(feed)).response.result
  seen.deleted = (await ow.feeds.delete(feed)).response.result
  await ow.triggers.delete({ name: trigger })
  console.log(JSON.stringify(seen))
}

main().catch((error) => { console.error(error); process.exit(1) })
