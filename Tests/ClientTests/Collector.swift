import Glibc
import Synchronization

/// Everything that can be read from a descriptor until its end, in a thread of its own.
final class Collector: Sendable {
    private let bytes = Mutex<[UInt8]>([])
    private let done = Mutex(false)

    init(_ descriptor: Int32, pause: UInt32 = 0) {
        Threads.run { [self] in
            var chunk = [UInt8](repeating: 0, count: 65536)
            while true {
                let got = read(descriptor, &chunk, chunk.count)
                if got <= 0 { break }
                bytes.withLock { $0 += chunk[..<got] }
                if pause > 0 { usleep(pause) }
            }
            close(descriptor)
            done.withLock { $0 = true }
        }
    }

    func all() -> [UInt8] {
        while !done.withLock({ $0 }) { usleep(1000) }
        return bytes.withLock { $0 }
    }
}
