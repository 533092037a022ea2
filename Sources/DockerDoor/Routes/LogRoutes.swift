import Engine
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Model
import NIOCore

/// What containers wrote.
struct LogRoutes: Sendable {
    let door: DockerParts

    func add(to table: inout PathTable) { table.add(.get, "/containers/:id/logs") { try await logs($0) } }

    private func logs(_ call: DockerCall) async throws -> Response {
        let view = try await door.finder.find(try call.parameter("id"))
        let (output, error) = (call.flag("stdout"), call.flag("stderr"))
        guard output || error else {
            throw EngineError(.invalidArgument, "Bad parameters: you must choose at least one stream")
        }
        var query = LogQuery(follow: call.flag("follow"))
        if let tail = call.value("tail"), tail != "all" {
            // What is no number means all, as with dockerd.
            query.tail = Int(tail).flatMap { $0 < 0 ? nil : $0 }
        }
        let now = Clock.now
        query.since = try call.value("since").map { try Filters.time($0, now: now) }.flatMap { $0 > 0 ? $0 : nil }
        query.until = try call.value("until").map { try Filters.time($0, now: now) }.flatMap { $0 > 0 ? $0 : nil }
        let facts = await door.facts(view, names: door.names())
        let lines = try await door.engine.instances.logs(view.record.name, query)
        let format = LogFormat(
            terminal: facts.hasTerminal, timestamps: call.flag("timestamps"), output: output, error: error)
        let isFollowed = query.follow
        return DockerReply.stream(call, Hijack.type(call, terminal: facts.hasTerminal)) { writer in
            try await format.write(lines, flushes: isFollowed) { try await writer.write($0) }
        }
    }
}

/// Lines of a log as Docker sends them: in frames that tell output from error, or bare with a terminal.
struct LogFormat: Sendable {
    let terminal: Bool
    let timestamps: Bool
    let output: Bool
    let error: Bool

    /// - Parameter flushes: each line is sent at once, because the next one may be long in coming.
    func write(
        _ lines: AsyncThrowingStream<LogLine, any Error>, flushes: Bool = false,
        _ send: (ByteBuffer) async throws -> Void
    ) async throws {
        var pending = ByteBuffer()
        var startsLine: [LogLine.Stream: Bool] = [:]
        for try await line in lines where line.stream == .stdout ? output : error {
            append(line, startsLine: startsLine[line.stream] ?? true, to: &pending)
            startsLine[line.stream] = line.isComplete
            guard flushes || pending.readableBytes >= 32_768 else { continue }
            try await send(pending)
            pending.clear()
        }
        if pending.readableBytes > 0 { try await send(pending) }
    }

    private func append(_ line: LogLine, startsLine: Bool, to buffer: inout ByteBuffer) {
        let prefix = timestamps && startsLine ? line.timestamp + " " : ""
        if !terminal {
            var head = OutputFrame.head(
                line.stream == .stdout ? OutputFrame.output : OutputFrame.error,
                length: prefix.utf8.count + line.bytes.count + (line.isComplete ? 1 : 0))
            buffer.writeBuffer(&head)
        }
        buffer.writeString(prefix)
        buffer.writeBytes(line.bytes)
        if line.isComplete { buffer.writeInteger(UInt8(ascii: "\n")) }
    }
}
