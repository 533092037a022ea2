// A key with an empty value is no key: that is how LXD's clients take one away.

extension [String: String] {
    var withoutEmpty: Self { filter { !$0.value.isEmpty } }
}

extension [String: [String: String]] {
    var withoutEmptyKeys: Self { mapValues(\.withoutEmpty) }
}
