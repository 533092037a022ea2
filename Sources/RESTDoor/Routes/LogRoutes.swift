import Engine
import FoundationEssentials
import Glibc
import HTTPTypes
import Hummingbird
import HummingbirdCore
import LinuxHost
import Model
import NIOCore
import WireTypes

/// An instance's log, and the files that recorded executions left beside it.
struct LogRoutes: Sendable {
    let door: DoorParts
    private var instances: InstanceService { door.engine.instances }

    func add(to table: RouteTable) {
        table.add("/1.0/instances/:name/logs", [.get: { try await list($0) }])
        table.add("/1.0/instances/:name/logs/output", [.get: { try await output($0) }])
        table.add("/1.0/instances/:name/logs/:file", [.get: { try await file($0) }, .delete: { try await remove($0) }])
    }

    /// `follow=1`, `tail=N`, `since=` and `until=` (RFC 3339 or seconds since 1970), `timestamps=1`,
    /// `stream=stdout|stderr`.
    private func output(_ call: Call) async throws -> Response {
        let tail = try call.number("tail")
        if let tail, tail < 0 { throw EngineError(.invalidArgument, "tail=\(tail) is negative") }
        var stream: LogLine.Stream?
        if let text = call.query("stream") {
            guard let value = LogLine.Stream(rawValue: text) else {
                throw EngineError(.invalidArgument, "stream=\(Names.quoted(text)) is neither stdout nor stderr")
            }
            stream = value
        }
        let query = LogQuery(
            follow: call.flag("follow"), tail: tail, since: try Self.moment("since", call),
            until: try Self.moment("until", call))
        let lines = try await instances.logs(try call.parameter("name"), project: call.project, query)
        return LogBody(timestamps: call.flag("timestamps"), stream: stream, isFollowed: query.follow).response(lines)
    }

    private static func moment(_ name: String, _ call: Call) throws -> Double? {
        guard let text = call.query(name) else { return nil }
        guard let seconds = WireTypes.Timestamp.seconds(text) ?? Double(text), seconds.isFinite else {
            throw EngineError(
                .invalidArgument, "\(name)=\(Names.quoted(text)) is not a time", hint: "write 2026-01-31T12:00:00Z")
        }
        return seconds
    }

    // MARK: files

    private func files(_ call: Call) async throws -> (folder: String, names: [String]) {
        let view = try await instances.get(try call.parameter("name"), project: call.project)
        let folder = door.engine.layout.state(of: view.record.id) + "/logs"
        return (folder, await runBlocking { folderNames(folder) })
    }

    private func list(_ call: Call) async throws -> Response {
        let name = try call.parameter("name")
        let view = try await instances.get(name, project: call.project)
        let names = (try await files(call).names + [Self.startLog(view)]).sorted()
        return try Reply.sync(names.map { "/1.0/instances/\(name)/logs/\($0)" })
    }

    /// The log that LXD's clients ask for when a start fails (`lxc info --show-log`).
    private static func startLog(_ view: InstanceView) -> String {
        view.record.kind == .machine ? "qemu.log" : "lxc.log"
    }

    /// Only a name that the folder has is put into a path.
    private func find(_ call: Call) async throws -> String {
        let file = try call.parameter("file")
        let (folder, names) = try await files(call)
        guard names.contains(file) else {
            throw EngineError(.notFound, "there is no log file \(Names.quoted(file))")
        }
        return "\(folder)/\(file)"
    }

    private func file(_ call: Call) async throws -> Response {
        let data: Data
        let (name, file) = (try call.parameter("name"), try call.parameter("file"))
        if file == Self.startLog(try await instances.get(name, project: call.project)) {
            let failure = try await instances.startFailure(name, project: call.project)
            data = Data((failure.map { $0 + "\n" } ?? "").utf8)
        } else {
            let path = try await find(call)
            data = try await runBlocking { try Data(contentsOf: URL(filePath: path)) }
        }
        try door.tell("instance-log-retrieved", call, ["file": .string(try call.parameter("file"))])
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: data)))
    }

    /// Recorded executions only: the log itself belongs to the instance.
    private func remove(_ call: Call) async throws -> Response {
        let path = try await find(call)
        guard try call.parameter("file").hasPrefix("exec_") else {
            throw EngineError(.permissionDenied, "the instance's own log goes with the instance")
        }
        try await runBlocking {
            guard unlink(path) == 0 || errno == ENOENT else {
                throw EngineError(.internal, "the file \(path) cannot be removed: \(String(errno: errno))")
            }
        }
        try door.tell("instance-log-deleted", call, ["file": .string(try call.parameter("file"))])
        return try Reply.done()
    }
}

/// Lines of a log as a response.
struct LogBody: Sendable {
    let timestamps: Bool
    /// nil: both.
    let stream: LogLine.Stream?
    /// Each line is sent at once, because the next one may be long in coming.
    let isFollowed: Bool

    func response(_ lines: AsyncThrowingStream<LogLine, any Error>) -> Response {
        let body = self
        return Response(
            status: .ok, headers: [.contentType: "application/octet-stream"],
            body: ResponseBody { writer in
                var pending = ByteBuffer()
                var startsLine = true
                for try await line in lines where body.stream == nil || line.stream == body.stream {
                    if body.timestamps, startsLine { pending.writeString(line.timestamp + " ") }
                    pending.writeBytes(line.bytes)
                    if line.isComplete { pending.writeInteger(UInt8(ascii: "\n")) }
                    startsLine = line.isComplete
                    guard body.isFollowed || pending.readableBytes >= 32_768 else { continue }
                    try await writer.write(pending)
                    pending.clear()
                }
                if pending.readableBytes > 0 { try await writer.write(pending) }
                try await writer.finish(nil)
            })
    }
}
