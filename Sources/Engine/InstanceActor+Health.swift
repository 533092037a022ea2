import DriverKit
import Logging
import Model

// Health tests of the present run.
extension InstanceActor {
    /// How its health is tested; nil if it is not.
    func healthPlan() async -> HealthPlan? {
        var image: ImageRecord?
        if let digest = record.image {
            do { image = try await services.images.record(digest: digest, for: record.name) } catch {
                logger.warning("the image's health check is not known", metadata: ["error": "\(error)"])
            }
        }
        return HealthPlan(await merged().config, kind: record.kind, image: image?.config.healthCheck)
    }

    /// Begins to test the run that is live; what was known before is forgotten unless it is taken over.
    ///
    /// - Parameter adopted: the run outlived a daemon: the last known state goes on.
    func beginHealth(adopted: Bool = false) async {
        healthTask?.cancel()
        healthTask = nil
        let plan = await healthPlan()
        guard case .running(let run) = lifecycle else { return }
        guard let plan, run.handle.exec != nil else {
            record.health = nil
            await tellReadiness()
            return
        }
        if !adopted || record.health == nil { record.health = HealthState() }
        await tellReadiness()
        let number = run.number
        // The tests must not keep an instance that was deleted.
        let find: @Sendable () -> InstanceActor? = { [weak self] in self }
        healthTask = Task { await Self.test(find, number, plan) }
    }

    func endHealth() {
        healthTask?.cancel()
        healthTask = nil
    }

    /// One test after the other until the run ends: they never overlap.
    private static func test(_ find: @Sendable () -> InstanceActor?, _ number: Int, _ plan: HealthPlan) async {
        let begin = ContinuousClock.now
        while !Task.isCancelled {
            let isInStartPeriod = ContinuousClock.now - begin < plan.startPeriod
            let isStarting = await find()?.record.health?.status == .starting
            let pause = isInStartPeriod && isStarting ? min(plan.startInterval, plan.interval) : plan.interval
            do { try await Task.sleep(for: pause) } catch { return }
            guard let actor = find(), await actor.isTestable(number) else {
                if await find()?.run?.number == number { continue }
                return
            }
            let result = await HealthProbe(timeout: plan.timeout).run {
                try await actor.exec(ProcessSpec(arguments: plan.arguments), stdio: StdioOptions())
            }
            guard !Task.isCancelled else { return }
            let counts = ContinuousClock.now - begin >= plan.startPeriod
            await actor.take(result, of: number, plan, isInStartPeriod: !counts)
        }
    }

    /// Whether a test can run now: a paused instance is left alone.
    private func isTestable(_ number: Int) async -> Bool {
        guard case .running(let run) = lifecycle, run.number == number else { return false }
        return (try? await run.handle.pause?.isPaused) != true
    }

    private func take(_ result: HealthResult, of number: Int, _ plan: HealthPlan, isInStartPeriod: Bool) async {
        guard case .running(let run) = lifecycle, run.number == number, var health = record.health else { return }
        let changed = health.record(result, retries: plan.retries, isInStartPeriod: isInStartPeriod)
        record.health = health
        guard changed else { return }
        lifecycleEvent("instance-health-status", ["status": .string(health.status.rawValue)])
        logger.info("health", metadata: ["status": "\(health.status.rawValue)"])
        await tellReadiness()
        do { try await save() } catch {
            logger.error("the health could not be written down", metadata: ["error": "\(error)"])
        }
        guard health.status == .unhealthy, plan.action != .none else { return }
        let act = services.unhealthy
        let id = id
        // In a task of its own: what it does cancels the tests, and this is one of them.
        _ = Task { await act(id, plan.action) }
    }

    /// Tells the network whether published ports of a service may lead here.
    func tellReadiness() async {
        guard case .running(let run) = lifecycle else { return }
        let isReady = record.health.map { $0.status == .healthy } ?? true
        for endpoint in run.endpoints ?? [] { await services.networks.setReady(endpoint, isReady) }
    }
}
