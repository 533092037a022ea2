import CHost

/// The control socket. Every connection brings one request, and is held until its reply has gone out.
final class Connections {
    /// At most so many at once: the others wait in the socket's queue.
    private static let limit = 512
    private static let packet = 4096

    private final class Connection {
        let descriptor: Int32
        /// Nil once it is closed.
        var watcher: Watcher?
        var session: Execution?
        var asked = false
        init(_ descriptor: Int32) { self.descriptor = descriptor }
    }

    private let instance: Instance
    private let loop: Loop
    private let listener: Int32
    private var watcher: Watcher?
    private var open: [Connection] = []
    /// Those that asked for the end of the first process.
    private var waiting: [Connection] = []
    private var executions: [Execution] = []
    private var nextExecution: Int32 = 1

    init(_ instance: Instance) throws(ShimFailure) {
        self.instance = instance
        loop = instance.loop
        // 5 is SOCK_SEQPACKET.
        listener = try check(
            isle_unix_listen(instance.directory, "shim.sock", 5),
            "making the socket " + instance.spec.directory + "/shim.sock")
        listen()
        instance.onEnded = { [self] exit in
            for connection in waiting { answer(connection, .exited(exit)) }
        }
    }

    private func listen() {
        watcher = loop.add(listener, Int(ISLE_EPOLLIN)) { [self] _ in accept() }
    }

    private func accept() {
        let descriptor = isle_accept(listener)
        guard descriptor >= 0 else {
            // Out of descriptors: try again when some may be free, rather than at once for ever.
            if descriptor != -EAGAIN, descriptor != -EINTR, descriptor != -ECONNABORTED { rest() }
            return
        }
        let connection = Connection(descriptor)
        connection.watcher = loop.add(descriptor, Int(ISLE_EPOLLIN)) { [self] _ in
            receive(connection)
        }
        guard connection.watcher != nil else { return isle_close(descriptor) }
        open.append(connection)
        if open.count >= Self.limit { rest() }
    }

    private func rest() {
        loop.remove(watcher)
        watcher = nil
        _ = loop.after(milliseconds: 50) { [self] in
            if open.count < Self.limit { listen() } else { rest() }
        }
    }

    private func receive(_ connection: Connection) {
        var buffer = [UInt8](repeating: 0, count: Self.packet)
        var descriptors = [Int32](repeating: -1, count: Int(ISLE_MAX_FDS))
        var count: Int32 = 0
        let size = isle_receive(connection.descriptor, &buffer, Self.packet, &descriptors, &count)
        if size == -Int(EAGAIN) { return }
        guard size > 0 else { return close(connection) }
        var received = Array(descriptors.prefix(Int(count)))
        guard let request = try? ShimRequest(decoding: Array(buffer[..<size])) else {
            for descriptor in received { isle_close(descriptor) }
            return answer(connection, .failed(ShimFailure(.invalid, "the request is not understood")))
        }
        if let session = connection.session {
            for descriptor in received { isle_close(descriptor) }
            if case .signal(let number) = request { session.signal(number) }
            return
        }
        guard !connection.asked else {
            for descriptor in received { isle_close(descriptor) }
            return close(connection)
        }
        connection.asked = true
        perform(request, &received, connection)
        for descriptor in received { isle_close(descriptor) }
    }

    /// Takes what it uses out of `descriptors`.
    private func perform(_ request: ShimRequest, _ descriptors: inout [Int32], _ connection: Connection) {
        let reply: (ShimReply) -> Void = { [self] reply in answer(connection, reply) }
        switch request {
        case .hello: reply(.state(shim: isle_pid(), pid: instance.pid))
        case .networkNamespace:
            guard instance.namespaces.network >= 0 else {
                return reply(.failed(ShimFailure(.notFound, "the instance has no network namespace of its own")))
            }
            answer(connection, .done, [instance.namespaces.network])
        case .start: instance.start(reply)
        case .signal(let number): reply(instance.signal(number))
        case .resize(let columns, let rows):
            instance.resize(columns: columns, rows: rows)
            reply(.done)
        case .attach(let withInput):
            guard descriptors.count == (withInput ? 3 : 2) else { return reply(Self.wrongDescriptors) }
            let input = withInput ? descriptors.removeFirst() : nil
            let output = descriptors.removeFirst()
            reply(instance.attach(input: input, output: output, error: descriptors.removeFirst()))
        case .exec:
            guard !descriptors.isEmpty else { return reply(Self.wrongDescriptors) }
            execute(&descriptors, connection)
        case .wait:
            if case .ended(let exit) = instance.phase { return reply(.exited(exit)) }
            waiting.append(connection)
        case .shutdown: instance.shutdown(reply)
        case .reopenLog:
            instance.log.reopen()
            reply(.done)
        }
    }

    private static var wrongDescriptors: ShimReply {
        .failed(ShimFailure(.invalid, "the request came with the wrong number of descriptors"))
    }

    private func execute(_ descriptors: inout [Int32], _ connection: Connection) {
        let file = descriptors.removeFirst()
        defer { isle_close(file) }
        guard case .success(let bytes) = readAll(file, limit: 4 << 20), let request = try? ShimExec(decoding: bytes)
        else {
            return answer(connection, .failed(ShimFailure(.invalid, "the exec request is not understood")))
        }
        guard descriptors.count == (request.terminal ? 0 : request.openStdin ? 3 : 2) else {
            return answer(connection, Self.wrongDescriptors)
        }
        let number = nextExecution
        nextExecution &+= 1
        let execution = Execution(number, request, instance)
        connection.session = execution
        executions.append(execution)
        execution.onReply = { [self] reply, master in
            let isLast = if case .started = reply { false } else { true }
            answer(connection, reply, master >= 0 ? [master] : [], keep: !isLast)
            if isLast { executions.removeAll { $0 === execution } }
        }
        execution.start(descriptors)
        descriptors = []
    }

    /// Sends the reply and closes, unless more is to come.
    private func answer(_ connection: Connection, _ reply: ShimReply, _ descriptors: [Int32] = [], keep: Bool = false) {
        guard connection.watcher != nil else { return }
        let bytes = reply.encoded()
        let result = bytes.withUnsafeBytes { raw in
            descriptors.withUnsafeBufferPointer {
                isle_send(connection.descriptor, raw.baseAddress, raw.count, $0.baseAddress, Int32($0.count))
            }
        }
        if !keep || result < 0 { close(connection) }
    }

    /// Takes what was not read, as a signal for a process that has just ended: else the kernel tells the other side of a
    /// broken connection (`unix_release_sock`, ECONNRESET) in place of the reply that is on its way.
    private func passOver(_ descriptor: Int32) {
        var buffer = [UInt8](repeating: 0, count: Self.packet)
        var descriptors = [Int32](repeating: -1, count: Int(ISLE_MAX_FDS))
        while true {
            var count: Int32 = 0
            let size = isle_receive(descriptor, &buffer, Self.packet, &descriptors, &count)
            for index in 0..<Int(count) { isle_close(descriptors[index]) }
            if size <= 0 { return }
        }
    }

    private func close(_ connection: Connection) {
        guard let watcher = connection.watcher else { return }
        loop.remove(watcher)
        connection.watcher = nil
        connection.session = nil
        passOver(connection.descriptor)
        isle_close(connection.descriptor)
        open.removeAll { $0 === connection }
        waiting.removeAll { $0 === connection }
    }
}
