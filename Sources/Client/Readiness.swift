import CHost
import Glibc

/// Waiting for one of several descriptors.
enum Readiness {
    /// The index of the first of `descriptors` that is readable or at its end; nil after `deadline`.
    static func wait(_ descriptors: [Int32], _ deadline: Deadline = .never) throws(ClientError) -> Int? {
        var entries = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        while true {
            let ready = poll(&entries, nfds_t(entries.count), deadline.remaining)
            if ready > 0 { return entries.firstIndex { $0.revents != 0 } }
            if ready == 0 { return nil }
            guard errno == EINTR else {
                throw ClientError(.local, "poll failed: \(String(cString: strerror(errno)))")
            }
        }
    }
}
