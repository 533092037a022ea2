/// One line of `security.syscalls.deny`: a system call that fails.
public struct DeniedCall: Sendable, Hashable {
    public var name: String
    /// What it fails with (errno(3)); EPERM unless the line says another.
    public var number: UInt16

    /// The lines `NAME` and `NAME errno N`; nil if one of them is not understood.
    public static func parse(_ text: String) -> [DeniedCall]? {
        var calls: [DeniedCall] = []
        for line in text.split(whereSeparator: { $0 == "\n" || $0 == "," }) {
            let words = line.split(separator: " ").map(String.init)
            guard let name = words.first else { continue }
            let isName = name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 }
            guard isName else { return nil }
            if words.count == 1 {
                calls.append(DeniedCall(name: name, number: 1))
            } else {
                guard words.count == 3, words[1] == "errno", let number = UInt16(words[2]), (1...4095).contains(number)
                else { return nil }
                calls.append(DeniedCall(name: name, number: number))
            }
        }
        return calls
    }

    public init(name: String, number: UInt16) {
        self.name = name
        self.number = number
    }
}
