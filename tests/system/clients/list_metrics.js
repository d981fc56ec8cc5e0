// SPDX-License-Identifier: Apache-2.0
//
// Lists metrics the way Utapi's own instructions do it: npm's aws4 signs, node's http sends.
//
//     node list_metrics.js HOST PORT ACCESS-KEY SECRET-KEY LEVEL START END NAME...
//
// Prints the status and the body.
'use strict';

const http = require('http');
const aws4 = require('aws4');

const [host, port, accessKeyId, secretAccessKey, level, start, end, ...names] = process.argv.slice(2);
const body = JSON.stringify({ [level]: names, timeRange: [Number(start), Number(end)] });
const request = {
    host,
    port: Number(port),
    method: 'POST',
    service: 's3',
    path: `/${level}?Action=ListMetrics`,
    signQuery: false,
    body,
};
const options = aws4.sign(request, { accessKeyId, secretAccessKey, token: '' });

const sent = http.request(options, response => {
    const chunks = [];
    response.on('data', chunk => chunks.push(chunk));
    response.on('end', () => process.stdout.write(`${response.statusCode}\n${chunks.join('')}\n`));
});
sent.on('error', error => {
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
});
sent.write(body);
sent.end();
