#!/usr/bin/env node
/**
 * The command line: accounts, a check of the settings and the set-up of clients, on the files, beside a running gate or without
 * one; and orders to a running gate.
 */
import './right-node';
import { Command } from 'commander';
import { checkConfig } from './cli/check-config';
import { addClientsCommand } from './cli/clients-command';
import { addPrefetchCommand } from './cli/prefetch-command';
import { addUserCommands } from './cli/user-commands';
import { visibleLines } from './config/visible';

const program = new Command('tidegate')
  .description(
    'manage the accounts of Tidegate, check its settings, set up clients, and fill its cache',
  )
  .showHelpAfterError('(try --help)');

addUserCommands(program);
addPrefetchCommand(program);
addClientsCommand(program);
program
  .command('check-config')
  .description('check the settings and the account files, and print what is in force')
  .action(checkConfig);

// `… | head` has read enough: that is no fault.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

program.parseAsync().catch((error: unknown) => {
  // No stack: the message names fault and remedy, and a stack would be read as a crash.
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`error: ${visibleLines(message)}\n`);
  process.exitCode = 1;
});
