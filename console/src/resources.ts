// The resources of the chosen environment, as they are kept.

import { get, path } from "./api";
import { useLoad, type Loaded } from "./hooks";
import { useSession } from "./session";
import type { Page, Resource } from "./types";

/** Resources of one kind, all pages of them. */
export function useResources(kind: string): Loaded<Resource[]> {
  const { environment } = useSession();
  const key = environment ? `resources/${environment.name}/${environment.generation}/${kind}` : null;
  return useLoad(key, async (signal) => {
    const items: Resource[] = [];
    let cursor: string | null | undefined;
    do {
      const query = { kind, limit: 1000, cursor };
      const page = await get<Page<Resource>>(`/environments${path(environment?.name ?? "")}/resources`, query, signal);
      items.push(...page.items);
      cursor = page.next;
    } while (cursor);
    return items;
  });
}
