// Vercel's AI SDK with each vendor's package, unmodified but for base address and key.
//
// Called with a file of JSON; prints one line per check, `ok NAME` or `FAILED NAME: why`, and ends
// with 0 either way: the test reads the lines. It stands in the folder where the packages are.
import { readFileSync } from 'node:fs';
import { createAmazonBedrock } from '@ai-sdk/amazon-bedrock';
import { createAnthropic } from '@ai-sdk/anthropic';
import { createCohere } from '@ai-sdk/cohere';
import { createGoogleGenerativeAI } from '@ai-sdk/google';
import { createMistral } from '@ai-sdk/mistral';
import { createOpenAI } from '@ai-sdk/openai';
import { embed, generateText, streamText, tool } from 'ai';
import { z } from 'zod';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const { url, key } = job;
const weather = tool({
  description: 'Weather',
  inputSchema: z.object({ city: z.string() }),
});
const options = { prompt: 'Hi', maxRetries: 0 };

async function check(name, run) {
  try {
    await run();
    console.log(`ok ${name}`);
  } catch (error) {
    const why = `${error?.stack} ${JSON.stringify(error?.responseBody ?? error?.cause ?? null)}`;
    console.log(`FAILED ${name}: ${why.replaceAll('\n', ' | ')}`);
  }
}

function equal(got, wanted) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Error(`${a} is not ${b}`);
}

async function talk(name, model) {
  await check(`${name} generateText`, async () => {
    const answer = await generateText({ model, ...options });
    equal([answer.text, answer.finishReason], ['Hello', 'stop']);
    equal([answer.usage.inputTokens, answer.usage.outputTokens], [7, 5]);
  });
  await check(`${name} streamText`, async () => {
    const answer = streamText({ model, ...options });
    let text = '';
    for await (const piece of answer.textStream) text += piece;
    equal([text, await answer.finishReason], ['Hello', 'stop']);
    equal((await answer.usage).outputTokens, 5);
  });
  const called = ['weather', { city: 'Oslo' }, 'tool-calls'];
  await check(`${name} generateText with tools`, async () => {
    const answer = await generateText({ model, ...options, tools: { weather } });
    const [call] = answer.toolCalls;
    equal([call.toolName, call.input, answer.finishReason], called);
  });
  await check(`${name} streamText with tools`, async () => {
    const answer = streamText({ model, ...options, tools: { weather } });
    const [call] = await answer.toolCalls;
    equal([call.toolName, call.input, await answer.finishReason], called);
  });
}

const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: key });
const anthropic = createAnthropic({ baseURL: `${url}/v1`, apiKey: key });
const google = createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: key });
const mistral = createMistral({ baseURL: `${url}/v1`, apiKey: key });
const cohere = createCohere({ baseURL: `${url}/v2`, apiKey: key });
const bedrock = createAmazonBedrock({
  baseURL: url,
  region: 'us-east-1',
  accessKeyId: 'TGTESTER',
  secretAccessKey: key,
});

await talk('openai chat', openai.chat('gpt'));
await talk('openai responses', openai.responses('gpt'));
await talk('anthropic', anthropic('claude'));
await talk('google', google('gemini'));
await talk('mistral', mistral('mistral'));
await talk('cohere', cohere('command'));
// Through Converse to OpenAI's stand-in.
await talk('amazon-bedrock', bedrock('gpt'));

for (const [name, model] of [
  ['openai', openai.embedding('gpt')],
  ['google', google.embedding('gemini')],
  ['mistral', mistral.embedding('mistral')],
  ['cohere', cohere.embedding('command')],
]) {
  await check(`${name} embed`, async () => {
    const { embedding } = await embed({ model, value: 'a', maxRetries: 0 });
    equal(embedding, [0.5, -0.25]);
  });
}
