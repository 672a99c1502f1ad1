package backend

import (
	"context"
	"fmt"

	"anabranch/crdtmeta"
)

// checkPolicy refuses a server that may evict companions. INFO names the policy; a server whose INFO does not is asked by CONFIG,
// and where that is forbidden nobody can tell.
func (b *Backend) checkPolicy(ctx context.Context, policy string) error {
	if policy == "" {
		answer, err := b.client.ConfigGet(ctx, "maxmemory-policy").Result()
		if err != nil {
			if IsReply(err) {
				b.cfg.Log.Warn().Err(err).Msg("the server does not say its maxmemory-policy: make sure that it is noeviction or a volatile one")
				return nil
			}
			return err
		}
		policy = answer["maxmemory-policy"]
	}
	if policy != "" && !crdtmeta.KeepsMetadata(policy) {
		return fmt.Errorf("%w (maxmemory-policy is %s)", ErrEvictionPolicy, policy)
	}
	return nil
}

// watchPolicy notices a policy that was changed behind the proxy's back. What is armed goes on being served: refusing everybody
// would help nobody, and nothing is lost until memory runs out. It is said once for each change.
func (b *Backend) watchPolicy(policy string) {
	unsafe := policy != "" && !crdtmeta.KeepsMetadata(policy)
	if b.unsafePolicy.Swap(unsafe) == unsafe {
		return
	}
	if unsafe {
		b.cfg.Log.Error().Str("maxmemory_policy", policy).Msg("the server may now evict the metadata that merging needs: set noeviction or a volatile policy at once")
	} else {
		b.cfg.Log.Info().Str("maxmemory_policy", policy).Msg("the server's eviction policy is safe again")
	}
}
