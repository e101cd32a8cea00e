/** What was acknowledged, and therefore has to be there at any time later. */
import { unique } from '../support/http';

/** An image that is in the registry: its manifest was answered with 201. */
export interface KnownImage {
  readonly repository: string;
  readonly tag: string;
  readonly digest: string;
}

/** Repositories that an account may pull, one team of several. */
export const TEAMS = ['red', 'green', 'blue', 'grey'] as const;
export type Team = (typeof TEAMS)[number];

/** An account, as the last acknowledged change left it. */
export interface KnownAccount {
  readonly username: string;
  password: string;
  team: Team;
  there: boolean;
  /** One deed at a time, so that it is known which came last. */
  busy: boolean;
  /** A change was begun and not answered: either may be true, so that nothing is expected of it any more. */
  inDoubt: boolean;
}

export class Ledger {
  /** Made before the traffic, in the registry itself: those that are asked for all the time, and those that are not. */
  readonly popular: KnownImage[] = [];
  readonly rare: KnownImage[] = [];
  /** One of each team. */
  readonly ofTeam = new Map<Team, KnownImage>();
  readonly pushed: KnownImage[] = [];
  readonly accounts: KnownAccount[] = [];
  /** Every password that was ever good, or tried. */
  readonly secrets = new Set<string>();
  #tags = 0;

  newTag(): string {
    return `t${(this.#tags += 1)}`;
  }

  newPassword(): string {
    const password = unique('pass-');
    this.secrets.add(password);
    return password;
  }

  /** An account that is not there yet. */
  newAccount(team: Team): KnownAccount {
    const account = {
      username: unique('soak-'),
      password: this.newPassword(),
      team,
      there: false,
      busy: true,
      inDoubt: false,
    };
    this.accounts.push(account);
    return account;
  }

  /** Those of which something is certain, and that nobody is at. */
  certain(there: boolean): KnownAccount[] {
    return this.accounts.filter(
      (account) => !account.busy && !account.inDoubt && account.there === there,
    );
  }
}
