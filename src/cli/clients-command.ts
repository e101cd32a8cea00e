/** `clients`: how clients are set up for the gate of these settings; the same as its `GET /help/clients`. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import { loadRegistryTable } from '../config/config-file';
import { CLIENT_NAMES, clientSetups } from '../help/clients';
import { parseGateAddress, type GateAddress } from '../help/gate-address';
import { viewOf } from '../help/gate-view';
import { documentOf } from '../help/markdown';
import { settingsHere } from './open-accounts';
import { say } from './say';

interface Options {
  readonly url?: GateAddress;
  readonly client?: string;
}

export function addClientsCommand(program: Command): void {
  program
    .command('clients')
    .description('print how docker, containerd, podman, BuildKit and k3s are set up for this gate')
    .option('--url <origin>', 'the gate as clients reach it; else PUBLIC_URL', readUrl)
    .addOption(new Option('--client <name>', 'one client alone').choices(CLIENT_NAMES))
    .action(showClients);
}

function showClients({ url, client }: Options): void {
  const settings = settingsHere();
  const address = url ?? parseGateAddress(settings.publicUrl ?? '');
  if (!address) {
    throw new Error(
      'where clients reach the gate is not known; set PUBLIC_URL, or give --url https://gate.example.com',
    );
  }
  const table = loadRegistryTable(settings);
  const view = viewOf(address, table, table.byHost(new URL(address.origin).hostname));
  const setups = clientSetups(view).filter(({ name }) => client === undefined || name === client);
  say(documentOf(view, setups).trimEnd());
}

function readUrl(text: string): GateAddress {
  const address = parseGateAddress(text);
  if (address) return address;
  throw new InvalidArgumentError('give the origin alone, such as https://gate.example.com.');
}
