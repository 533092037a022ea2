import DoorKit
import DriverKit
import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Logging
import Model
import NIOCore
import WireTypes

/// Files of instances: LXD's `/files`, one file or folder a request, and `/sftp`, a session.
///
/// What a file is stands in headers: `X-LXD-type` (`file`, `directory`, `symlink`), `X-LXD-mode` (octal), `X-LXD-uid`,
/// `X-LXD-gid`, and `X-LXD-write` (`overwrite`, `append`) for one that is there already.
struct FileRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    /// Bytes that are moved at a time.
    private static let piece = 1 << 18

    func add(to table: RouteTable) {
        for root in ["instances", "containers", "virtual-machines"] {
            table.add(
                "/1.0/\(root)/:name/files",
                [
                    .get: { try await get($0, withBody: true) }, .head: { try await get($0, withBody: false) },
                    .post: { try await post($0) }, .delete: { try await delete($0) },
                ])
            table.add("/1.0/\(root)/:name/sftp", [.get: { try await sftp($0) }])
        }
    }

    private func path(_ call: Call) throws -> GuestPath {
        guard let path = call.query("path") else {
            throw EngineError(.invalidArgument, "the path of the file is missing", hint: "add ?path=/… to the URL")
        }
        guard !path.utf8.contains(0) else { throw EngineError(.invalidArgument, "the path has a NUL byte") }
        return GuestPath(path)
    }

    // MARK: reading

    private func get(_ call: Call, withBody: Bool) async throws -> Response {
        let (name, project, path) = (try call.parameter("name"), call.project, try path(call))
        let lease = try await instances.leaseFiles(name, project: project)
        do {
            guard let facts = try await lease.tree.facts(path, following: false) else {
                throw EngineError(
                    .notFound, "instance \(Names.quoted(name)) has no file \(Names.quoted(path.text))")
            }
            var headers = FileHeaders.fields(facts)
            let answer: Response
            switch facts.kind {
            case .directory:
                let names = withBody ? try await lease.tree.list(path).map(\.name.text).sorted() : []
                answer = try Reply.sync(names)
                headers[.contentType] = Reply.json
            case .symbolicLink:
                let target = try await lease.tree.readLink(path)
                answer = Response(
                    status: .ok, body: withBody ? ResponseBody(byteBuffer: ByteBuffer(bytes: target.bytes)) : .init())
            default:
                if withBody {
                    let answer = try await stream(path, headers, lease, name, project)
                    try door.tell("instance-file-retrieved", call, ["path": .string(path.text)])
                    return answer
                }
                // A client that only asks is told of things too that cannot be read.
                headers[.contentLength] = String(facts.size)
                answer = Response(status: .ok)
            }
            await instances.returnFiles(lease, name, project: project)
            if withBody { try door.tell("instance-file-retrieved", call, ["path": .string(path.text)]) }
            return Response(status: .ok, headers: headers, body: answer.body)
        } catch {
            await instances.returnFiles(lease, name, project: project)
            throw error
        }
    }

    /// The content of a regular file. The lease ends with the body.
    private func stream(
        _ path: GuestPath, _ headers: HTTPFields, _ lease: FileLease, _ name: String, _ project: String
    ) async throws -> Response {
        let file = try await lease.tree.open(path, FileOpening())
        let size = try await file.facts().size
        let instances = instances
        let body = ResponseBody(contentLength: Int(size)) { writer in
            func end() async {
                file.close()
                await instances.returnFiles(lease, name, project: project)
            }
            do {
                var offset: Int64 = 0
                while offset < size {
                    let bytes = try await file.read(at: offset, count: Int(min(Int64(Self.piece), size - offset)))
                    guard !bytes.isEmpty else {
                        throw EngineError(.conflict, "\(Names.quoted(path.text)) became shorter while it was read")
                    }
                    offset += Int64(bytes.count)
                    try await writer.write(ByteBuffer(bytes: bytes))
                }
                try await writer.finish(nil)
            } catch {
                await end()
                throw error
            }
            await end()
        }
        return Response(status: .ok, headers: headers, body: body)
    }

    // MARK: writing

    private func post(_ call: Call) async throws -> Response {
        let (name, project, path) = (try call.parameter("name"), call.project, try path(call))
        let wanted = try FileHeaders(call.request.headers)
        return try await instances.withFiles(name, project: project) { tree in
            switch wanted.kind {
            case .file: try await write(call, path, wanted, tree)
            case .directory: try await makeDirectory(path, wanted, tree)
            case .symlink: try await makeLink(call, path, wanted, tree)
            }
            try door.tell("instance-file-pushed", call, ["path": .string(path.text)])
            return try Reply.done()
        }
    }

    private func write(_ call: Call, _ path: GuestPath, _ wanted: FileHeaders, _ tree: any FileTree) async throws {
        let file = try await tree.open(
            path,
            FileOpening(writes: true, creates: true, truncates: !wanted.appends, attributes: wanted.attributes))
        do {
            var offset = wanted.appends ? try await file.facts().size : 0
            var pending: [UInt8] = []
            for try await bytes in call.request.body {
                pending += bytes.readableBytesView
                guard pending.count >= Self.piece else { continue }
                try await file.write(pending, at: offset)
                offset += Int64(pending.count)
                pending.removeAll(keepingCapacity: true)
            }
            if !pending.isEmpty { try await file.write(pending, at: offset) }
            // Once more for a file that was there before, and because writing takes set-user-id bits away.
            if wanted.attributes != FileChange() { try await file.change(wanted.attributes) }
        } catch {
            file.close()
            throw error
        }
        file.close()
    }

    /// A folder that is there stays as it is, as with LXD.
    private func makeDirectory(_ path: GuestPath, _ wanted: FileHeaders, _ tree: any FileTree) async throws {
        if let found = try await tree.facts(path, following: true) {
            guard found.kind == .directory else {
                throw EngineError(.alreadyExists, "\(Names.quoted(path.text)) is there already and is no folder")
            }
            return
        }
        try await tree.makeDirectory(path, wanted.attributes)
    }

    private func makeLink(_ call: Call, _ path: GuestPath, _ wanted: FileHeaders, _ tree: any FileTree) async throws {
        let body = try await call.request.body.collect(upTo: 4096)
        let target = GuestPath(bytes: body.readableBytesView)
        guard !target.bytes.isEmpty else { throw EngineError(.invalidArgument, "the link has no target") }
        if let found = try await tree.facts(path, following: false) {
            if found.kind == .symbolicLink, try await tree.readLink(path) == target { return }
            throw EngineError(.alreadyExists, "\(Names.quoted(path.text)) is there already")
        }
        try await tree.makeLink(path, target: target, wanted.attributes)
    }

    private func delete(_ call: Call) async throws -> Response {
        let path = try path(call)
        guard !path.names.isEmpty else {
            throw EngineError(.invalidArgument, "the root of an instance cannot be removed")
        }
        try await instances.withFiles(try call.parameter("name"), project: call.project) { tree in
            try await tree.remove(path)
        }
        try door.tell("instance-file-deleted", call, ["path": .string(path.text)])
        return try Reply.done()
    }

    // MARK: session

    /// `Upgrade: sftp`: the SSH file transfer protocol, version 3, on the bare connection.
    private func sftp(_ call: Call) async throws -> Response {
        let (name, project) = (try call.parameter("name"), call.project)
        guard call.request.headers[.upgrade]?.lowercased() == "sftp" else {
            throw EngineError(.invalidArgument, "this is a session of SFTP: ask with 'Upgrade: sftp'")
        }
        // What keeps it from being used is told before the connection is no HTTP any more.
        try await instances.withFiles(name, project: project) { _ in }
        let (instances, logger) = (instances, door.logger)
        call.context.upgrade.put { stream in
            let server = SFTPServer(files: SessionFiles(instances, name, project))
            do { try await server.serve(stream) } catch {
                logger.debug("a session of SFTP broke off", metadata: ["instance": "\(name)", "error": "\(error)"])
            }
            await server.end()
            stream.finish()
        }
        return Response(status: .switchingProtocols, headers: [.connection: "Upgrade", .upgrade: "sftp"])
    }
}

/// What LXD's headers say of a file.
struct FileHeaders: Sendable, Equatable {
    enum Kind: String { case file, directory, symlink }

    var kind = Kind.file
    var appends = false
    var attributes = FileChange()

    /// - Throws: `invalidArgument` that names the header.
    init(_ fields: HTTPFields) throws {
        func value(_ name: String) -> String? {
            HTTPField.Name(name).flatMap { fields[$0] }.flatMap { $0.isEmpty ? nil : $0 }
        }
        func refused(_ name: String, _ text: String, _ form: String) -> EngineError {
            EngineError(
                .invalidArgument, "\(Names.quoted(text)) is not a value of the header \(name)", hint: "it takes \(form)"
            )
        }
        func id(_ name: String) throws -> UInt32? {
            guard let text = value(name), text != "-1" else { return nil }
            guard let id = UInt32(text), id < .max else { throw refused(name, text, "an id") }
            return id
        }
        if let text = value("X-LXD-type") {
            guard let kind = Kind(rawValue: text) else {
                throw refused("X-LXD-type", text, "file, directory or symlink")
            }
            self.kind = kind
        }
        if let text = value("X-LXD-write") {
            guard text == "overwrite" || text == "append" else {
                throw refused("X-LXD-write", text, "overwrite or append")
            }
            appends = text == "append"
        }
        if let text = value("X-LXD-mode") {
            guard text.utf8.allSatisfy({ (48...55).contains($0) }), let mode = UInt32(text, radix: 8), mode <= 0o7777
            else { throw refused("X-LXD-mode", text, "an octal mode up to 7777") }
            attributes.permissions = mode
        }
        attributes.user = try id("X-LXD-uid")
        attributes.group = try id("X-LXD-gid")
    }

    static func fields(_ facts: FileFacts) -> HTTPFields {
        var fields: HTTPFields = [.contentType: "application/octet-stream"]
        let octal = String(facts.permissions, radix: 8)
        let type: Kind =
            switch facts.kind {
            case .directory: .directory
            case .symbolicLink: .symlink
            default: .file
            }
        for (name, value) in [
            ("X-LXD-uid", String(facts.user)), ("X-LXD-gid", String(facts.group)),
            ("X-LXD-mode", String(repeating: "0", count: max(0, 4 - octal.count)) + octal),
            ("X-LXD-type", type.rawValue),
        ] {
            if let name = HTTPField.Name(name) { fields[name] = value }
        }
        return fields
    }
}
