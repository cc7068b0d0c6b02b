// Node's own HTTP parser, nothing else: 200 for each request that it accepts to the last byte of its body.
import http from 'node:http';

const server = http.createServer((request, response) => {
  request.on('error', () => {});
  request.on('data', () => {});
  request.on('end', () => response.end('accepted'));
});
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
