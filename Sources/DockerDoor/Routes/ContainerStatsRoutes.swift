import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model

/// What containers use.
struct ContainerStatsRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) { table.add(.get, "/containers/:id/stats") { try await stats($0) } }

    /// One look at a container's use.
    private struct Sample: Sendable {
        var time: Double
        var system: Int64
        var view: InstanceView
        var counters: [(device: String, counters: NetworkCounters)]
    }

    private func stats(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let id = view.record.id
        guard call.flag("stream", default: true) else {
            var previous: Sample?
            if !call.flag("one-shot"), view.pid != nil {
                previous = try await sample(id)
                try await Task.sleep(for: .seconds(1))
            }
            return DockerReply.json(Self.render(try await sample(id) ?? empty(view), previous))
        }
        return DockerReply.stream(call, DockerReply.json) { writer in
            var previous: Sample?
            while !Task.isCancelled, let now = try await sample(id) {
                try await writer.write(Self.render(now, previous))
                previous = now
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    private func empty(_ view: InstanceView) -> Sample { Sample(time: Clock.now, system: 0, view: view, counters: []) }

    /// nil once the container is deleted.
    private func sample(_ id: InstanceID) async throws -> Sample? {
        guard let view = await door.engine.instances.find(id: id, withUsage: true) else { return nil }
        var counters: [(String, NetworkCounters)] = []
        if view.pid != nil {
            for endpoint in view.endpoints {
                if let found = try await door.engine.networks.counters(endpoint) {
                    counters.append((endpoint.device, found))
                }
            }
        }
        return Sample(time: Clock.now, system: HostFacts.systemCPU, view: view, counters: counters)
    }

    private static func render(_ sample: Sample, _ previous: Sample?) -> JSON {
        let usage = sample.view.usage
        let limit = sample.view.expanded.config["limits.memory"].flatMap { Int64($0) } ?? HostFacts.memory
        var memory: JSON = [:]
        if let used = usage?.memory {
            memory = [
                "usage": .integer(used), "max_usage": .integer(usage?.memoryPeak ?? used), "stats": [:],
                "limit": .integer(limit),
            ]
        }
        var networks: [JSON.Member] = []
        for (device, counters) in sample.counters {
            networks.append(
                .init(
                    key: device,
                    value: [
                        "rx_bytes": .integer(counters.bytesReceived), "rx_packets": .integer(counters.packetsReceived),
                        "rx_errors": .integer(counters.errorsReceived),
                        "rx_dropped": .integer(counters.droppedReceived), "tx_bytes": .integer(counters.bytesSent),
                        "tx_packets": .integer(counters.packetsSent), "tx_errors": .integer(counters.errorsSent),
                        "tx_dropped": .integer(counters.droppedSent),
                    ]))
        }
        return [
            "read": .string(sample.view.pid == nil ? ContainerInspect.never : Timestamp.text(sample.time)),
            "preread": .string(previous.map { Timestamp.text($0.time) } ?? ContainerInspect.never),
            "pids_stats": usage?.processes.map { ["current": .integer($0)] } ?? [:],
            "blkio_stats": ["io_service_bytes_recursive": [], "io_serviced_recursive": []], "num_procs": 0,
            "storage_stats": [:], "cpu_stats": processor(sample),
            "precpu_stats": previous.map(processor) ?? processor(nil),
            "memory_stats": memory, "name": .string("/" + sample.view.record.name),
            "id": .string(ContainerID.full(sample.view.record.id)), "networks": .object(networks),
        ]
    }

    private static func processor(_ sample: Sample?) -> JSON {
        let used = sample?.view.usage?.cpuNanoseconds ?? 0
        var stats: JSON = [
            "cpu_usage": [
                "total_usage": .integer(used), "usage_in_kernelmode": 0, "usage_in_usermode": .integer(used),
            ],
            "throttling_data": ["periods": 0, "throttled_periods": 0, "throttled_time": 0],
        ]
        if let sample {
            stats = stats.merging([
                "system_cpu_usage": .integer(sample.system), "online_cpus": .integer(HostFacts.processors),
            ])
        }
        return stats
    }
}
