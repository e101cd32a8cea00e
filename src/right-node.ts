/** The first import of main: an older Node would fail further down, in words that help nobody. */
const OLDEST = 24;

if (Number.parseInt(process.versions.node, 10) < OLDEST) {
  process.stderr.write(
    `tidegate: Node ${OLDEST} is needed, and this is ${process.version}. Type: npm start (it brings its own)\n`,
  );
  process.exit(1);
}
