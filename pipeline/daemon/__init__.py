"""The inspection station: every trigger gets one record with one verdict, whatever happens.

Owns the line file (`line`), the sources of frames (`sources/`), the station's model and its cache
(`models`), the ledger (`ledger`), the frames it keeps (`keeping`), what people say of them
(`reviews`) and the loop that ties them together (`loop`). May call `inference`, `registry`,
`imaging` and `contracts`; never training, stages or torch.
"""
