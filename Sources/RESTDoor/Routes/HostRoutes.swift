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

    /// Prometheus text, with the names that LXD's metrics have.
    private func metrics(_ call: Call) async throws -> Response {
        let isOpen = await door.engine.settings.flag("core.metrics_authentication") == false
        try AccessRules.checkMetrics(call, isOpen: isOpen)
        var lines: [String] = []
        func metric(_ name: String, _ type: String, _ help: String, _ values: [(InstanceView, Int64?)]) {
            lines += ["# HELP \(name) \(help)", "# TYPE \(name) \(type)"]
            for (view, value) in values {
                guard let value else { continue }
                lines.append(
                    "\(name){name=\"\(view.record.name)\",project=\"\(view.record.project)\",type=\"\(view.record.kind.lxdType)\"} \(value)"
                )
            }
        }
        let views = await door.engine.instances.list(project: nil, withUsage: true).filter { $0.pid != nil }
        metric("lxd_procs_total", "gauge", "The number of running processes.", views.map { ($0, $0.usage?.processes) })
        metric(
            "lxd_memory_RSS_bytes", "gauge", "The amount of memory in use.", views.map { ($0, $0.usage?.memory) })
        lines += ["# HELP lxd_cpu_seconds_total The total number of CPU time used in seconds."]
        lines += ["# TYPE lxd_cpu_seconds_total counter"]
        for view in views {
            guard let used = view.usage?.cpuNanoseconds else { continue }
            let labels = "cpu=\"0\",mode=\"user\",name=\"\(view.record.name)\",project=\"\(view.record.project)\""
            lines.append("lxd_cpu_seconds_total{\(labels)} \(Double(used) / 1e9)")
        }
        lines += ["# HELP lxd_instances The number of instances.", "# TYPE lxd_instances gauge"]
        lines.append("lxd_instances \(await door.engine.instances.list(project: nil).count)")
        return Response(
            status: .ok, headers: [.contentType: "text/plain; version=0.0.4"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: lines.joined(separator: "\n") + "\n")))
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
