import CHost

/// One stream of the first process: what is read goes into the log and to every sink.
final class Source {
    /// Bytes read at once.
    private static let block = 16 << 10
    /// After this many milliseconds an unfinished line is logged as a part, so that a prompt shows.
    private static let partDelay: Int64 = 200

    private let loop: Loop
    private let log: Log
    private let stream: LogStream
    private var descriptor: Int32
    private var watcher: Watcher?
    private var splitter = LineSplitter()
    private var partTimer: Timer?
    private var sinks: [Sink] = []
    private let onEnd: () -> Void

    var isOpen: Bool { descriptor >= 0 }
    var isStalled: Bool { sinks.contains { $0.isStalled } }

    /// Takes over the descriptor. `onEnd` is called once, when all of the stream is in the log.
    init(_ descriptor: Int32, _ stream: LogStream, _ loop: Loop, _ log: Log, onEnd: @escaping () -> Void) {
        self.loop = loop
        self.log = log
        self.stream = stream
        self.descriptor = descriptor
        self.onEnd = onEnd
        _ = isle_nonblocking(descriptor, 1)
    }

    func add(_ sink: Sink) {
        sinks.append(sink)
        sink.onChange = { [self] in sinkChanged() }
    }

    /// Begins, or goes on, reading.
    func resume() {
        guard isOpen, watcher == nil, !isStalled else { return }
        watcher = loop.add(descriptor, Int(ISLE_EPOLLIN)) { [self] _ in pump() }
        if watcher == nil { end() }
    }

    /// Reads what is there now and then gives up the stream, whether it has ended or not.
    func finish() {
        while isOpen, pump() {}
        if isOpen { end() }
    }

    /// Reads one block: false when there was nothing.
    @discardableResult
    private func pump() -> Bool {
        var progress = false
        withUnsafeTemporaryAllocation(byteCount: Self.block, alignment: 16) { buffer in
            let count = isle_read(descriptor, buffer.baseAddress, Self.block)
            if count > 0 {
                progress = true
                take(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
            } else if count != -Int(EAGAIN), count != -Int(EINTR) {
                // End of file; EIO is that of a terminal.
                end()
            }
        }
        return progress
    }

    private func take(_ bytes: UnsafeRawBufferPointer) {
        log.begin()
        splitter.feed(bytes) { text, whole in log.append(stream, whole, text) }
        log.flush()
        if splitter.isHolding {
            if partTimer == nil {
                partTimer = loop.after(milliseconds: Self.partDelay) { [self] in flushPart() }
            }
        } else {
            loop.cancel(partTimer)
            partTimer = nil
        }
        for sink in sinks { sink.write(bytes) }
        if isStalled { pause() }
    }

    private func flushPart() {
        partTimer = nil
        guard splitter.isHolding else { return }
        log.begin()
        splitter.flush { text, whole in log.append(stream, whole, text) }
        log.flush()
    }

    /// A stalled reader's source leaves epoll, which would report its hang-up without end.
    private func pause() {
        loop.remove(watcher)
        watcher = nil
    }

    private func sinkChanged() {
        sinks.removeAll { !$0.isOpen }
        resume()
    }

    private func end() {
        guard isOpen else { return }
        loop.remove(watcher)
        watcher = nil
        loop.cancel(partTimer)
        flushPart()
        closeIfOpen(&descriptor)
        onEnd()
    }

    /// Whether every sink has taken what it was given.
    var isDelivered: Bool { !isStalled }

    /// Closes the sinks, which is the end of file for their readers.
    func closeSinks() {
        let all = sinks
        for sink in all { sink.close() }
        sinks = []
    }
}

/// The instance's log, or none.
final class Log {
    private var file: LogFile?

    /// - Throws: when the file cannot be opened.
    init(_ spec: ShimSpec) throws(ShimFailure) {
        guard !spec.logPath.isEmpty else {
            file = nil
            return
        }
        do {
            file = try LogFile(path: spec.logPath, maxSize: spec.logMaxSize, files: spec.logFiles)
        } catch {
            throw failure("opening the log " + spec.logPath, -error.number)
        }
    }

    /// Takes the time for the entries that follow.
    func begin() {
        var seconds: Int64 = 0
        var nanoseconds: Int64 = 0
        isle_realtime(&seconds, &nanoseconds)
        file?.setTime(seconds: seconds, nanoseconds: nanoseconds)
    }

    func append(_ stream: LogStream, _ whole: Bool, _ text: ArraySlice<UInt8>) {
        file?.append(stream, whole: whole, text)
    }

    func flush() { file?.flush() }
    func reopen() { file?.reopen() }
}
