import Glibc

@testable import GuestCore

/// An agent at one end of a socket pair, on a thread of its own; the test is the host at the other end.
final class AgentHarness: @unchecked Sendable {
    private let descriptor: Int32
    private var parser = FrameParser()
    private var thread = pthread_t()

    init() {
        var ends: [Int32] = [-1, -1]
        socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends)
        descriptor = ends[0]
        let port = ends[1]
        _ = fcntl(port, F_SETFL, O_NONBLOCK)
        let argument = UnsafeMutablePointer<Int32>.allocate(capacity: 1)
        argument.pointee = port
        pthread_create(
            &thread, nil,
            { raw in
                guard let raw else { return nil }
                let port = raw.assumingMemoryBound(to: Int32.self)
                let agent = Agent(port: port.pointee, returns: false, reapsAll: false)
                while agent.step(milliseconds: 1000) != .closed {}
                close(port.pointee)
                port.deallocate()
                return nil
            }, argument)
    }

    func end() {
        close(descriptor)
        pthread_join(thread, nil)
    }

    func send(_ frames: Frame...) {
        for frame in frames {
            let bytes = frame.encoded
            var sent = 0
            while sent < bytes.count {
                let count = bytes.withUnsafeBytes {
                    write(descriptor, $0.baseAddress.map { $0 + sent }, bytes.count - sent)
                }
                if count <= 0 { return }
                sent += count
            }
        }
    }

    /// The next frame; nil after five silent seconds.
    func receive() -> Frame? {
        while true {
            if let frame = parser.next() { return frame }
            var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            guard poll(&entry, 1, 5000) == 1 else { return nil }
            var buffer = [UInt8](repeating: 0, count: 65536)
            let count = read(descriptor, &buffer, buffer.count)
            guard count > 0 else { return nil }
            parser.append(Array(buffer[..<count]))
        }
    }

    struct Outcome {
        var frames: [Frame] = []
        var output = ""
        var error = ""
        var exit: [UInt32]?
    }

    /// Everything of one session until it is over, with credit given back as it comes.
    func collect(_ session: UInt32) -> Outcome {
        var outcome = Outcome()
        var open = 2
        while open > 0 || outcome.exit == nil {
            guard let frame = receive() else { return outcome }
            guard frame.session == session else { continue }
            outcome.frames.append(frame)
            switch frame.kind {
            case .output:
                let text = String(decoding: frame.payload, as: UTF8.self)
                if frame.stream == 1 { outcome.output += text } else { outcome.error += text }
                send(
                    Frame(.outputCredit, session: session, stream: frame.stream, numbers: [UInt32(frame.payload.count)])
                )
            case .outputEnd: open -= 1
            case .exited: outcome.exit = frame.numbers(2)
            case .failed: return outcome
            case .started: if outcome.frames.isEmpty { return outcome }
            default: break
            }
        }
        return outcome
    }

    func run(_ request: ExecRequest, session: UInt32 = 1, input: [UInt8]? = nil) -> Outcome {
        send(Frame(.exec, session: session, payload: request.encoded))
        if let input {
            send(Frame(.input, session: session, payload: input), Frame(.inputEnd, session: session))
        }
        return collect(session)
    }
}
