import DoorKit
import DriverKit
import Engine
import EngineTesting
import FoundationEssentials
import Glibc
import LinuxHost
import Logging
import Model
import StateStore
import WireTypes

@testable import RESTDoor

/// A daemon's inside with fake drivers, behind a real unix socket.
struct DoorFixture: Sendable {
    let socket: String
    let images: FakeImages
    let routes: [String]
    let layout: HostLayout

    /// Runs `body` against a door of its own; everything is gone afterwards.
    static func run(_ body: @Sendable @escaping (DoorFixture) async throws -> Void) async throws {
        signal(SIGPIPE, SIG_IGN)
        var template = Array("/tmp/isle-rest-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp") }
        let folder = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        for name in ["state", "run"] { mkdir("\(folder)/\(name)", 0o700) }
        let layout = HostLayout(state: "\(folder)/state", run: "\(folder)/run")
        try Folders.make(layout)
        let images = FakeImages()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let (storage, driver) = (FakeStorage(), FakeDriver())
        let store = try StateStore(path: layout.database)
        let engine = Engine(
            parts: EngineParts(
                layout: layout, store: store, drivers: [driver], snapshotter: storage,
                storage: [FakeStorageDriver()], disks: storage,
                network: FakeNetwork(), source: images, folders: storage, logger: logger, hostMemory: 1 << 30),
            network: NetworkSpec(name: "islebr", bridge: "islebr", ipv4: "10.9.8.1/24", ipv6: nil))
        try await engine.start()
        let door = RESTDoor(
            engine: engine,
            server: .init(
                version: "1.2.3", name: "test", driver: "fake", driverVersion: "1", storage: "dir", firewall: "none"),
            logger: logger)
        let service = door.service(on: try UnixListener.open(path: layout.socket))
        let fixture = DoorFixture(socket: layout.socket, images: images, routes: door.routes, layout: layout)
        do {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await service.run() }
                defer { group.cancelAll() }
                try await body(fixture)
                for name in try await fixture.names() { try await fixture.delete(name) }
            }
        } catch {
            await driver.processes.kill()
            await engine.shutdown()
            throw error
        }
        await driver.processes.kill()
        await engine.shutdown()
        try store.close()
    }

    // MARK: requests

    struct Answer: Sendable {
        var status: Int
        var head: String
        var body: String
        var json: JSONValue
        var metadata: JSONValue { json["metadata"] ?? .null }
        var error: String { json["error"]?.stringValue ?? "" }
        var etag: String? {
            head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("etag: ") }.map { String($0.dropFirst(6)) }
        }
    }

    func call(
        _ method: String, _ path: String, _ body: JSONValue? = nil, headers: [String] = []
    ) async throws -> Answer {
        var bytes: [UInt8] = []
        if let body { bytes = Array(try JSONEncoder().encode(body)) }
        return try await send(
            method, path, bytes, headers: (body == nil ? [] : ["Content-Type: application/json"]) + headers)
    }

    func send(_ method: String, _ path: String, _ body: [UInt8], headers: [String] = []) async throws -> Answer {
        let client = try RawClient(socket)
        let lines = ["\(method) \(path) HTTP/1.1", "Host: isle", "Content-Length: \(body.count)"] + headers
        try await client.send(Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + body)
        let (head, text) = try await client.response()
        let status = Int(head.split(separator: " ")[1]) ?? 0
        let json = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8))
        return Answer(status: status, head: head, body: text, json: json ?? .null)
    }

    /// Starts work and gives its operation as it ended.
    func work(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> API.Operation {
        let answer = try await call(method, path, body)
        guard answer.status == 202, let id = answer.metadata["id"]?.stringValue else {
            throw EngineError(.internal, "\(method) \(path): \(answer.status) \(answer.error)")
        }
        return try await operation(id)
    }

    func operation(_ id: String) async throws -> API.Operation {
        let answer = try await call("GET", "/1.0/operations/\(id)/wait?timeout=20")
        return try JSONDecoder().decode(
            API.Response<API.Operation>.self, from: Data(answer.body.utf8)
        ).metadata ?? API.Operation()
    }

    // MARK: instances

    func create(_ name: String, config: JSONValue = [:], start: Bool = true) async throws {
        let operation = try await work(
            "POST", "/1.0/instances",
            [
                "name": .string(name), "kind": "application", "source": ["type": "image", "reference": "alpine"],
                "config": config, "profiles": [], "start": .bool(start),
            ])
        guard operation.status == "Success" else { throw EngineError(.internal, "create: \(operation.err)") }
    }

    func names() async throws -> [String] {
        let answer = try await call("GET", "/1.0/instances")
        return answer.metadata.arrayValue?.compactMap { $0.stringValue?.split(separator: "/").last.map(String.init) }
            ?? []
    }

    func delete(_ name: String) async throws { _ = try await work("DELETE", "/1.0/instances/\(name)?force=1") }

    // MARK: sessions

    /// The websocket of one stream of a session.
    func open(_ operation: JSONValue, _ stream: String) async throws -> RawClient {
        guard let id = operation["id"]?.stringValue,
            let secret = operation["metadata"]?["fds"]?[stream]?.stringValue
        else { throw EngineError(.internal, "the operation has no stream \(stream)") }
        let client = try RawClient(socket)
        let head = try await client.upgrade("/1.0/operations/\(id)/websocket?secret=\(secret)")
        guard head.hasPrefix("HTTP/1.1 101") else { throw EngineError(.permissionDenied, head) }
        return client
    }

    /// Binary data up to the end mark, the close frame or the end of the connection.
    func collect(_ client: RawClient) async throws -> String {
        var all: [UInt8] = []
        while true {
            let (opcode, payload) = try await client.receiveFrame()
            if opcode == 8 || (opcode == 1 && payload.isEmpty) { return String(decoding: all, as: UTF8.self) }
            all += payload
        }
    }
}
