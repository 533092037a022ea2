import DoorKit
import DriverKit
import Engine
import FoundationEssentials
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// Files of containers as tar archives: what `docker cp` uses.
struct ArchiveRoutes: Sendable {
    let door: DockerParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: inout PathTable) {
        table.add(.head, "/containers/:id/archive") { try await look($0) }
        table.add(.get, "/containers/:id/archive") { try await get($0) }
        table.add(.put, "/containers/:id/archive") { try await put($0) }
        table.add(.get, "/containers/:id/export") { try await export($0) }
    }

    private static let statHeader = HTTPField.Name("X-Docker-Container-Path-Stat")

    private func path(_ call: DockerCall) throws -> String {
        guard let path = call.value("path"), !path.utf8.contains(0) else {
            throw EngineError(.invalidArgument, "the query has no path")
        }
        return path.hasPrefix("/") ? path : "/" + path
    }

    private func missing(_ path: String, _ reference: String) -> EngineError {
        EngineError(.notFound, "Could not find the file \(path) in container \(reference)")
    }

    /// What stands at a path; a slash at its end asks for what a link leads to.
    private func facts(_ tree: any FileTree, _ path: String, _ reference: String) async throws -> FileFacts {
        let follows = path.hasSuffix("/") || path.hasSuffix("/.")
        guard let facts = try await tree.facts(GuestPath(path), following: follows) else {
            throw missing(path, reference)
        }
        return facts
    }

    private func header(_ tree: any FileTree, _ path: String, _ facts: FileFacts) async throws -> HTTPFields {
        var target = ""
        if facts.kind == .symbolicLink {
            let link = try await tree.readLink(GuestPath(path)).text
            target = link.hasPrefix("/") ? link : "\(GuestPath(path).parent.text)/\(link)"
            if !target.hasPrefix("/") { target = "/" + target }
        }
        let stat: JSON = [
            "name": .string(FileArchive.baseName(path)), "size": .integer(facts.size),
            "mode": .integer(FileArchive.goMode(facts)), "mtime": .string(Timestamp.text(Double(facts.modified))),
            "linkTarget": .string(target),
        ]
        var fields: HTTPFields = [.contentType: "application/x-tar"]
        if let name = Self.statHeader { fields[name] = Data(stat.text.utf8).base64EncodedString() }
        return fields
    }

    private func look(_ call: DockerCall) async throws -> Response {
        let (path, reference) = (try path(call), try call.parameter("id"))
        let name = try await door.finder.name(reference)
        let fields = try await instances.withFiles(name) { tree in
            try await header(tree, path, facts(tree, path, reference))
        }
        return Response(status: .ok, headers: fields)
    }

    private func get(_ call: DockerCall) async throws -> Response {
        let (path, reference) = (try path(call), try call.parameter("id"))
        let view = try await door.finder.find(reference)
        let lease = try await instances.leaseFiles(view.record.name)
        do {
            let facts = try await facts(lease.tree, path, reference)
            let fields = try await header(lease.tree, path, facts)
            await door.tell("archive-path", view)
            return stream(call, fields, lease, view.record.name, path, as: FileArchive.baseName(path), facts)
        } catch {
            await instances.returnFiles(lease, view.record.name)
            throw error
        }
    }

    /// Everything below the root.
    private func export(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let lease = try await instances.leaseFiles(view.record.name)
        do {
            let facts = try await facts(lease.tree, "/", view.record.name)
            await door.tell("export", view)
            return stream(
                call, [.contentType: "application/octet-stream"], lease, view.record.name, "/", as: "", facts,
                bare: mountPoints(view))
        } catch {
            await instances.returnFiles(lease, view.record.name)
            throw error
        }
    }

    /// What is mounted is not the container's own: volumes and folders of the host, and what the kernel shows.
    private func mountPoints(_ view: InstanceView) -> Set<[GuestPath]> {
        let disks = view.expanded.devices.values.filter { $0["type"] == "disk" }.compactMap { $0["path"] }
        return Set((disks.filter { $0 != "/" } + ["/proc", "/sys", "/dev"]).map { GuestPath($0).names })
    }

    private func stream(
        _ call: DockerCall, _ fields: HTTPFields, _ lease: FileLease, _ name: String, _ path: String, as base: String,
        _ facts: FileFacts, bare: Set<[GuestPath]> = []
    ) -> Response {
        let instances = instances
        var response = DockerReply.stream(call, "application/x-tar") { writer in
            do {
                try await FileArchive(tree: lease.tree, bare: bare).write(path, as: base, facts) {
                    try await writer.write($0)
                }
            } catch {
                await instances.returnFiles(lease, name)
                throw error
            }
            await instances.returnFiles(lease, name)
        }
        for field in fields { response.headers[field.name] = field.value }
        return response
    }

    private func put(_ call: DockerCall) async throws -> Response {
        let (path, reference) = (try path(call), try call.parameter("id"))
        let view = try await door.finder.find(reference)
        let keepsKinds = call.flag("noOverwriteDirNonDir")
        let file = try Spool(directory: door.engine.layout.temporary, name: "copy.tar", format: nil)
        do {
            try await file.fill(call.request.body)
            try await instances.withFiles(view.record.name) { tree in
                guard let facts = try await tree.facts(GuestPath(path), following: true) else {
                    throw missing(path, reference)
                }
                guard facts.kind == .directory else {
                    throw EngineError(.invalidArgument, "extraction point is not a directory")
                }
                try await FileArchive(tree: tree).extract(
                    file.path, into: GuestPath(path), keepsKinds: keepsKinds, scratch: file.path + ".member")
            }
        } catch {
            await file.remove()
            throw error
        }
        await file.remove()
        await door.tell("extract-to-dir", view)
        return DockerReply.empty(.ok)
    }
}
