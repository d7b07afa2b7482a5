"""Files of codes that other tools wrote: EnCodec's .ecdc, DAC's .dac, arrays of numpy. Only bytes are parsed here:
nothing in such a file is executed, and what it claims is checked before memory is taken for it.
"""
