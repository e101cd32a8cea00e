import { Inject, Injectable } from '@nestjs/common';
import { Registries } from '../config/registry-table';
import { Settings } from '../config/settings';
import type { AskedScope } from '../edge/token-request';
import type { Access, RepositoryAction } from '../oci/access';
import type { CanonicalName } from '../oci/repository-name';
import type { Account } from './accounts/account';
import { completePattern, matchesPattern } from './repository-pattern';

/** Somebody with an account, or an anonymous reader. */
export type Subject = Account | undefined;

/** Which account may do what; denied is what nothing here allows. */
@Injectable()
export class AccessPolicy {
  constructor(
    @Inject(Settings) private readonly settings: Settings,
    private readonly registries: Registries,
  ) {}

  /** True when clients without a login are served at all. */
  get admitsAnonymous(): boolean {
    return this.settings.anonymousAccess === 'pull';
  }

  /** The rights of this moment. An ordinary account without a list may pull everything; an admin may do all. */
  may(subject: Subject, name: CanonicalName, action: RepositoryAction): boolean {
    if (!subject) return this.admitsAnonymous && action === 'pull';
    if (subject.role === 'admin') return true;
    if (!subject.access) return action === 'pull';
    return subject.access.some(
      (rule) => rule.actions.includes(action) && this.#matches(rule.repository, name),
    );
  }

  /** What of the asked-for scopes is granted, over canonical names; a scope of which nothing is granted is left out. */
  grant(subject: Subject, scopes: readonly AskedScope[]): Access[] {
    return scopes.flatMap((scope) => {
      if (scope.type === 'catalog')
        return subject ? [{ type: 'registry', name: 'catalog', actions: ['*'] }] : [];
      const { canonical } = scope.name;
      const actions = scope.actions.filter((action) => this.may(subject, canonical, action));
      return actions.length > 0 ? [{ type: 'repository', name: canonical, actions }] : [];
    });
  }

  /** Whose credentials go upstream for this subject. */
  upstreamAs(subject: Subject, name: CanonicalName): 'anonymous' | 'configured' {
    if (subject) return 'configured';
    return this.settings.anonymousRepositories.some((pattern) => this.#matches(pattern, name))
      ? 'configured'
      : 'anonymous';
  }

  #matches(pattern: string, name: CanonicalName): boolean {
    return matchesPattern(completePattern(pattern, this.registries.current.default), name);
  }
}

/** True when a token's entries cover the action: they are the upper bound of what the token can be used for. */
export function covers(
  access: readonly Access[],
  name: CanonicalName,
  action: RepositoryAction,
): boolean {
  return access.some(
    (entry) => entry.type === 'repository' && entry.name === name && entry.actions.includes(action),
  );
}
