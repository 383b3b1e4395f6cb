// A daprd that knows one component, the SQLite state store: enough to run workflows on, and quick to build.
//
// What daprd's own main does beyond that (all other components, profiling, the app's channel) has no part in workflows.
package main

import (
	"context"
	"log"
	"os"

	"github.com/dapr/components-contrib/state/sqlite"
	"github.com/dapr/dapr/cmd/daprd/options"
	"github.com/dapr/dapr/pkg/components/state"
	"github.com/dapr/dapr/pkg/healthz"
	"github.com/dapr/dapr/pkg/metrics"
	"github.com/dapr/dapr/pkg/modes"
	"github.com/dapr/dapr/pkg/runtime"
	"github.com/dapr/dapr/pkg/runtime/registry"
	"github.com/dapr/dapr/pkg/security"
	"github.com/dapr/kit/concurrency"
	"github.com/dapr/kit/logger"
	"github.com/dapr/kit/signals"
)

func main() {
	opts, err := options.New(os.Args[1:])
	if err != nil {
		log.Fatal(err)
	}
	if err := logger.ApplyOptionsToLoggers(&opts.Logger); err != nil {
		log.Fatal(err)
	}
	if err := run(signals.Context(), opts); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, opts *options.Options) error {
	health := healthz.New()
	provider, err := security.New(ctx, security.Options{
		AppID:                   opts.AppID,
		Mode:                    modes.DaprMode(opts.Mode),
		ControlPlaneTrustDomain: opts.ControlPlaneTrustDomain,
		ControlPlaneNamespace:   opts.ControlPlaneNamespace,
		Healthz:                 health,
	})
	if err != nil {
		return err
	}
	serve := func(ctx context.Context) error {
		handler, err := provider.Handler(ctx)
		if err != nil {
			return err
		}
		daprd, err := runtime.FromConfig(ctx, config(opts, health, handler))
		if err != nil {
			return err
		}
		return daprd.Run(ctx)
	}
	return concurrency.NewRunnerManager(provider.Run, serve).Run(ctx)
}

func config(opts *options.Options, health healthz.Healthz, handler security.Handler) *runtime.Config {
	return &runtime.Config{
		AppID:         opts.AppID,
		Mode:          opts.Mode,
		Config:        opts.Config,
		ResourcesPath: opts.ResourcesPath,
		Registry:      registry.NewOptions().WithStateStores(stores()),

		DaprAPIGRPCPort:               opts.DaprAPIGRPCPort,
		DaprHTTPPort:                  opts.DaprHTTPPort,
		DaprAPIListenAddresses:        opts.DaprAPIListenAddresses,
		DaprInternalGRPCPort:          opts.DaprInternalGRPCPort,
		DaprInternalGRPCListenAddress: opts.DaprInternalGRPCListenAddress,
		ProfilePort:                   opts.ProfilePort,
		AllowedOrigins:                opts.AllowedOrigins,
		MaxRequestSize:                opts.MaxRequestSize,
		ReadBufferSize:                opts.ReadBufferSize,

		ActorsService:              opts.ActorsService,
		ActorsDisseminationTimeout: opts.ActorsDisseminationTimeout,
		SchedulerAddress:           opts.SchedulerAddress,
		SchedulerStreams:           opts.SchedulerJobStreams,

		// No app is called, but these have to be valid.
		AppProtocol:            opts.AppProtocol,
		AppHealthProbeInterval: opts.AppHealthProbeInterval,
		AppHealthProbeTimeout:  opts.AppHealthProbeTimeout,
		AppHealthThreshold:     opts.AppHealthThreshold,

		DaprGracefulShutdownSeconds: opts.DaprGracefulShutdownSeconds,
		DisableInitEndpoints:        opts.DisableInitEndpoints,

		Metrics:  metrics.Options{Log: logger.NewLogger("metrics"), Namespace: metrics.DefaultMetricNamespace, Healthz: health},
		Security: handler,
		Healthz:  health,
	}
}

func stores() *state.Registry {
	stores := state.NewRegistry()
	stores.Logger = logger.NewLogger("state")
	stores.RegisterComponent(sqlite.NewSQLiteStateStore, "sqlite")
	return stores
}
