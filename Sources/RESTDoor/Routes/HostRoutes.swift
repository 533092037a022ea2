import DriverKit
import Engine
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import LinuxHost
import Model
import NIOCore
import WireTypes

/// What is asked about the host: resources, metrics, doctor, kernels.
struct HostRoutes: Sendable {
    let door: DoorParts

    func add(to table: RouteTable) {
        table.add("/1.0/resources", [.get: { _ in try Reply.sync(HostResources.read()) }])
        table.add("/1.0/metrics", [.get: { try await metrics($0) }])
        table.add("/1.0/doctor", [.get: { _ in try await doctor() }])
        table.add("/1.0/kernels", [.get: { try await kernels($0) }, .post: { try await fetchKernel($0) }])
        table.add("/1.0/kernels/:version", [.delete: { try await removeKernel($0) }])
    }

    /// Of all projects: the right to read them is looked at first.
    private func metrics(_ call: Call) async throws -> Response {
        let isOpen = await door.engine.settings.flag("core.metrics_authentication") == false
        try AccessRules.checkMetrics(call, isOpen: isOpen)
        var page = MetricsPage()
        let views = await door.engine.instances.list(project: nil, withUsage: true)
        for view in views where view.pid != nil { await add(view, to: &page) }
        page.add("lxd_instances", "gauge", "The number of instances.", [], Double(views.count))
        page.add(
            "lxd_operations_total", "counter", "The number of operations that can be asked for.", [],
            Double(await door.engine.operations.list().count))
        page.add(
            "lxd_warnings_total", "counter", "The number of active warnings.", [],
            Double(await door.engine.warnings.list().filter { $0.status == .new }.count))
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: page.text)))
    }

    private func add(_ view: InstanceView, to page: inout MetricsPage) async {
        let labels = [
            (name: "name", value: view.record.name), (name: "project", value: view.record.project),
            (name: "type", value: view.record.kind.lxdType),
        ]
        let usage = view.usage
        page.add(
            "lxd_procs_total", "gauge", "The number of running processes.", labels, usage?.processes.map { Double($0) })
        page.add(
            "lxd_memory_RSS_bytes", "gauge", "The amount of memory in use.", labels, usage?.memory.map { Double($0) })
        page.add(
            "lxd_cpu_seconds_total", "counter", "The total number of CPU time used in seconds.",
            [(name: "cpu", value: "0"), (name: "mode", value: "user")] + labels,
            usage?.cpuNanoseconds.map { Double($0) / 1e9 })
        for endpoint in view.endpoints {
            // One that cannot be read is left out: the others count all the same.
            guard let counters = try? await door.engine.networks.counters(endpoint) else { continue }
            let device = [(name: "device", value: endpoint.device)] + labels
            for (name, help, value) in [
                ("receive_bytes", "The amount of received bytes on a given interface.", counters.bytesReceived),
                ("transmit_bytes", "The amount of transmitted bytes on a given interface.", counters.bytesSent),
                ("receive_packets", "The amount of received packets on a given interface.", counters.packetsReceived),
                ("transmit_packets", "The amount of transmitted packets on a given interface.", counters.packetsSent),
                ("receive_errs", "The amount of received errors on a given interface.", counters.errorsReceived),
                ("transmit_errs", "The amount of transmitted errors on a given interface.", counters.errorsSent),
                (
                    "receive_drop", "The amount of received dropped bytes on a given interface.",
                    counters.droppedReceived
                ),
                (
                    "transmit_drop", "The amount of transmitted dropped bytes on a given interface.",
                    counters.droppedSent
                ),
            ] {
                page.add("lxd_network_\(name)_total", "counter", help, device, Double(value))
            }
        }
    }

    private func doctor() async throws -> Response {
        var report = API.DoctorReport()
        report.checks = await door.engine.check().map { API.DoctorCheck($0) }
        return try Reply.sync(report)
    }

    private func kernels(_ call: Call) async throws -> Response {
        let kernels = try await door.kernels?.list() ?? []
        return try Reply.sync(kernels)
    }

    private func fetchKernel(_ call: Call) async throws -> Response {
        let body = try await call.decode(JSONValue.self)
        let kernels = try offered()
        let version = body["version"]?.stringValue
        return try await door.operation("Fetching a kernel") { _ in
            ["version": .string(try await kernels.fetch(version))]
        }
    }

    private func removeKernel(_ call: Call) async throws -> Response {
        try await offered().remove(try call.parameter("version"))
        return try Reply.done()
    }

    private func offered() throws -> RESTDoor.Kernels {
        guard let kernels = door.kernels else {
            throw EngineError(.unsupported, "this daemon has no machines made from root filesystems")
        }
        return kernels
    }
}
