import Model

/// How the health of an instance is tested: its `health.` keys over what its image says. The meanings and the defaults
/// are Docker's (Dockerfile reference, HEALTHCHECK).
struct HealthPlan: Sendable, Hashable {
    /// What is done with an instance that becomes unhealthy.
    enum Action: String, Sendable { case none, restart, stop, kill }

    /// Program and arguments.
    var arguments: [String]
    var interval: Duration
    var timeout: Duration
    var startPeriod: Duration
    var startInterval: Duration
    var retries: Int
    var action: Action

    /// Nil: nothing is tested. An image's own check holds for applications only: that is what it was written for.
    init?(_ config: [String: String], kind: InstanceKind, image: ImageConfig.HealthCheck?) {
        let image = kind == .application ? image : nil
        let test = config["health.test"].flatMap(OptionForms.healthTest) ?? image?.test ?? []
        switch test.first {
        case "CMD"? where test.count > 1: arguments = Array(test.dropFirst())
        case "CMD-SHELL"? where test.count > 1: arguments = ["/bin/sh", "-c", test[1]]
        default: return nil
        }
        func time(_ key: String, _ stated: Int64?, _ standard: Duration) -> Duration {
            let chosen = config[key].flatMap(OptionForms.duration) ?? stated.map { Duration.nanoseconds($0) }
            // Zero is Docker's word for "not said".
            return chosen.flatMap { $0 > .zero ? $0 : nil } ?? standard
        }
        interval = time("health.interval", image?.interval, .seconds(30))
        timeout = time("health.timeout", image?.timeout, .seconds(30))
        startPeriod = time("health.start_period", image?.startPeriod, .zero)
        startInterval = time("health.start_interval", nil, .seconds(5))
        let wanted = config["health.retries"].flatMap(Int.init) ?? image?.retries ?? 0
        retries = wanted > 0 ? wanted : 3
        action = config["health.on_failure"].flatMap(Action.init) ?? .none
    }
}
